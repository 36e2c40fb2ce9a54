// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/cluster"
)

func initCommand() *cobra.Command {
	var (
		flags        cluster.InitFlags
		from, out    string
		force        bool
		private      bool
		byAddress    bool
		podSNAT, gpu bool
	)
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a cluster.yaml from flags or from what az prints",
		Long: `Write a cluster description, and list what is still missing with the command
that tells it. Nothing is guessed: a missing value is a commented line.

A value of a flag that a description may not have is refused, and nothing is
written. What az printed is written even where it is refused, with every reason,
so that it can be corrected in the file.

Exit codes: 0 complete, 3 required values are missing, 2 bad input.`,
		Example: `  az aks show -g shop -n prod -o json | sallyport init --from-az -
  sallyport init --cloud AzureCloud --location westeurope --plugin kubenet --nodes 10.240.0.0/16`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			changed := c.Flags().Changed
			for name, p := range map[string]struct {
				from *bool
				to   **bool
			}{
				"private": {&private, &flags.Private}, "by-address": {&byAddress, &flags.ByAddress},
				"pod-snat": {&podSNAT, &flags.PodSNAT}, "gpu": {&gpu, &flags.GPU},
			} {
				if changed(name) {
					*p.to = p.from
				}
			}
			draft, err := newDraft(c, from, flags)
			if err != nil {
				return err
			}
			problems := draft.Problems(nameOf(out))
			if err := refusedFlags(problems, changed, from == ""); err != nil {
				return err
			}
			if err := writeDraft(c, draft, out, force); err != nil {
				return err
			}
			complete := listLacks(c, draft)
			switch {
			case len(problems) > 0:
				return fmt.Errorf("what az printed is refused as it stands:\n%w", problems)
			case !complete:
				return exit{code: exitUndecided}
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from-az", "", "`FILE` with what \"az aks show -o json\" prints, - for standard input")
	f.StringVarP(&out, "file", "f", "cluster.yaml", "file to write, - for standard output")
	f.BoolVar(&force, "force", false, "overwrite the file when it exists")
	f.StringVar(&flags.Cloud, "cloud", "", "AzureCloud, AzureChinaCloud or AzureUSGovernment")
	f.StringVar(&flags.Location, "location", "", "region, such as westeurope")
	f.StringVar(&flags.Edition, "edition", "", "edition of the egress list: newest, seed or a date; the newest when not given")
	f.StringVar(&flags.AsOf, "as-of", "", "instead of an edition, the `DAY` whose list holds, as YYYY-MM-DD")
	f.StringVar(&flags.APIServerName, "api-server", "", "name of the API server")
	f.StringSliceVar(&flags.APIServerAddresses, "api-server-address", nil, "addresses of the API server")
	f.BoolVar(&private, "private", false, "the API server is reached through a private endpoint")
	f.BoolVar(&byAddress, "by-address", false, "pods talk to the API server by its address")
	f.StringVar(&flags.Tunnel, "tunnel", "", "konnectivity or tunnel-front")
	f.StringVar(&flags.Plugin, "plugin", "", "network plugin: azure, kubenet or none")
	f.StringVar(&flags.Mode, "mode", "", "mode of the azure plugin: overlay, node-subnet or pod-subnet")
	f.StringSliceVar(&flags.Nodes, "nodes", nil, "prefixes of the node subnets")
	f.StringSliceVar(&flags.Pods, "pods", nil, "prefixes of pod addresses")
	f.StringSliceVar(&flags.Services, "services", nil, "prefixes of service addresses")
	f.BoolVar(&podSNAT, "pod-snat", true, "pods leave with their node's address")
	f.StringVar(&flags.OutboundType, "outbound-type", "", "outbound type of the cluster")
	f.StringSliceVar(&flags.OS, "os", nil, "operating systems of the nodes: linux, windows")
	f.BoolVar(&gpu, "gpu", false, "there are nodes with GPUs")
	f.StringVar(&flags.ImageDate, "image-date", "", "`DAY` of the oldest node image, as YYYY-MM-DD; current when not given")
	f.StringSliceVar(&flags.AddOns, "add-on", nil, "add-ons: "+strings.Join(addOnNames(), ", "))
	f.StringVar(&flags.DevSpacesName, "dev-spaces-name", "", "name of the Dev Spaces controller")
	f.StringSliceVar(&flags.DNSServers, "dns-server", nil, "DNS servers the gateway asks")
	f.StringSliceVar(&flags.AllowPrivate, "allow-private", nil, "private prefixes that names may lead to")
	f.StringSliceVar(&flags.LoadBalancers, "load-balancer", nil, "public addresses of load balancers")
	f.StringVar(&flags.GatewayPrivate, "gateway-private", "", "private address of the gateway")
	f.StringVar(&flags.GatewayPublic, "gateway-public", "", "public address of the gateway")
	c.MarkFlagsMutuallyExclusive("edition", "as-of")
	return c
}

func addOnNames() []string {
	var names []string
	for _, a := range cluster.AddOns() {
		names = append(names, string(a))
	}
	return names
}

// nameOf says how messages call the file a draft is written to.
func nameOf(out string) string {
	if out == "-" {
		return "standard output"
	}
	return out
}

// flagOfKey is the flag that says the value of each key.
var flagOfKey = map[string]string{
	"cloud":                  "cloud",
	"location":               "location",
	"edition":                "edition",
	"asOf":                   "as-of",
	"apiServer.name":         "api-server",
	"apiServer.addresses":    "api-server-address",
	"apiServer.private":      "private",
	"apiServer.byAddress":    "by-address",
	"tunnel":                 "tunnel",
	"network.plugin":         "plugin",
	"network.mode":           "mode",
	"network.nodes":          "nodes",
	"network.pods":           "pods",
	"network.services":       "services",
	"network.podSNAT":        "pod-snat",
	"network.outboundType":   "outbound-type",
	"nodes.os":               "os",
	"nodes.gpu":              "gpu",
	"nodes.imageDate":        "image-date",
	"addOns":                 "add-on",
	"devSpaces.name":         "dev-spaces-name",
	"dns.servers":            "dns-server",
	"allowPrivate":           "allow-private",
	"loadBalancers":          "load-balancer",
	"gateway.privateAddress": "gateway-private",
	"gateway.publicAddress":  "gateway-public",
}

// refusedFlags returns the problems that come from flags, without the positions
// they would have in the file; nil when there are none. When nothing but flags
// was given, every problem does.
func refusedFlags(problems cluster.Errors, changed func(flag string) bool, flagsOnly bool) error {
	var refused cluster.Errors
	for _, p := range problems {
		flag, ok := flagOfKey[p.Key]
		switch {
		case ok && changed(flag):
			p.Key = "--" + flag
		case !flagsOnly:
			continue
		}
		refused = append(refused, cluster.Problem{Key: p.Key, Msg: p.Msg, Hint: p.Hint})
	}
	if len(refused) == 0 {
		return nil
	}
	return refused
}

func newDraft(c *cobra.Command, from string, flags cluster.InitFlags) (*cluster.Draft, error) {
	if from == "" {
		return cluster.FromFlags(flags), nil
	}
	var data []byte
	var err error
	if from == "-" {
		data, err = readAll(c)
	} else {
		data, err = os.ReadFile(from)
	}
	if err != nil {
		return nil, fmt.Errorf("read what az printed: %w", err)
	}
	draft, err := cluster.FromAzure(data)
	if err != nil {
		return nil, err
	}
	draft.Fill(flags)
	return draft, nil
}

// writeDraft writes the description.
func writeDraft(c *cobra.Command, draft *cluster.Draft, out string, force bool) error {
	if out == "-" {
		if _, err := c.OutOrStdout().Write(draft.YAML()); err != nil {
			return err
		}
	} else {
		flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
		if force {
			flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
		}
		f, err := os.OpenFile(out, flag, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists; write another with --file, or overwrite it with --force", out)
		}
		if err != nil {
			return err
		}
		_, err = f.Write(draft.YAML())
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", out)
	}
	return nil
}

// listLacks lists on standard error what a draft lacks. The draft is complete
// when nothing of that is required.
func listLacks(c *cobra.Command, draft *cluster.Draft) (complete bool) {
	complete = true
	lacks := slices.Clone(draft.Lacks)
	slices.SortStableFunc(lacks, func(a, b cluster.Lack) int { // what is required first
		switch {
		case a.Required == b.Required:
			return 0
		case a.Required:
			return -1
		}
		return 1
	})
	for i, l := range lacks {
		if i == 0 {
			fmt.Fprintln(c.ErrOrStderr(), "\nnot known yet, to be filled in by you:")
		}
		need := "optional"
		if l.Required {
			need = "required"
			complete = false
		}
		fmt.Fprintf(c.ErrOrStderr(), "  %-22s %s (%s)\n", l.Key, l.What, need)
		if l.Command != "" {
			fmt.Fprintf(c.ErrOrStderr(), "  %-22s $ %s\n", "", l.Command)
		}
	}
	return complete
}
