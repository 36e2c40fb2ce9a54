// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"io"
	"time"
)

// Job is the work of a process of its own: there are more connections than one
// process may have descriptors.
type Job struct {
	Serve []Server `json:"serve,omitempty"`
	Run   *Load    `json:"run,omitempty"`
}

// Process does the job that stands in in, and says so in out: a line with the
// result once everything runs. Then it waits to be killed, with its connections.
func Process(ctx context.Context, in io.Reader, out io.Writer) error {
	var j Job
	if err := json.NewDecoder(in).Decode(&j); err != nil {
		return err
	}
	for _, s := range j.Serve {
		if _, err := serve(ctx, s); err != nil {
			return err
		}
	}
	var r Result
	if j.Run != nil {
		var err error
		if r, err = run(ctx, *j.Run); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(out).Encode(r); err != nil {
		return err
	}
	time.Sleep(time.Hour) // whoever started it kills it long before
	return nil
}
