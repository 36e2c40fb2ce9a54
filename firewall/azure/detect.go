// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package azure

import (
	"bytes"
	"path"
	"regexp"
	"strings"
)

// Detect tells in which form a file is written, by its extension and what is in
// it: "arm", "az-json", "terraform", "tfvars", "az-cli" or "bicep".
func Detect(name string, data []byte) (form string, ok bool) {
	head := data[:min(len(data), 1<<20)]
	switch ext := strings.ToLower(path.Ext(strings.ReplaceAll(name, `\`, "/"))); ext {
	case ".tf":
		return "terraform", true
	case ".tfvars":
		return "tfvars", true
	case ".bicep", ".bicepparam":
		return "bicep", true
	case ".sh", ".bash", ".azcli", ".md", ".markdown", ".zsh":
		return "az-cli", true
	case ".json", ".jsonc":
		return detectJSON(head), true
	}
	t := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	switch {
	case bytes.HasPrefix(t, []byte("{")) || bytes.HasPrefix(t, []byte("[")):
		return detectJSON(head), true
	case azCommand.Match(head):
		return "az-cli", true
	case terraformBlock.Match(head):
		return "terraform", true
	case bicepLine.Match(head):
		return "bicep", true
	case tfvarsLine.Match(head):
		return "tfvars", true
	}
	return "", false
}

func detectJSON(head []byte) string {
	if bytes.Contains(head, []byte("schema.management.azure.com")) {
		return "arm"
	}
	return "az-json"
}

var (
	azCommand      = regexp.MustCompile(`(?m)^[ \t>$]*az[ \t]+(network|group|extension|aks)\b`)
	terraformBlock = regexp.MustCompile(`(?m)^[ \t]*(resource|module|variable|locals|terraform|provider|data|output)[ \t]*("[^"\n]*"[ \t]*){0,2}\{`)
	bicepLine      = regexp.MustCompile(`(?m)^[ \t]*((resource|module)[ \t]+\w+[ \t]+'|param[ \t]+\w+[ \t]+\w|targetScope[ \t]*=)`)
	tfvarsLine     = regexp.MustCompile(`(?m)^[ \t]*\w+[ \t]*=[ \t]*["{\[\w]`)
)

// parse reads one file in its form, to be evaluated when all are read.
func (r *reader) parse(form string, s *source) error {
	var d document
	var err error
	switch form {
	case "arm", "az-json":
		d, err = newARM(r, s)
	case "terraform", "tfvars":
		d, err = r.terraform(form, s)
	case "az-cli":
		d, err = newCommands(r, s)
	default:
		d, err = newBicep(r, s)
	}
	if err != nil {
		return err
	}
	r.docs = append(r.docs, d)
	return nil
}
