// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

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
			return writeDraft(c, draft, out, force)
		},
	}
	f := c.Flags()
	f.StringVar(&from, "from-az", "", "`FILE` with what \"az aks show -o json\" prints, - for standard input")
	f.StringVarP(&out, "file", "f", "cluster.yaml", "file to write, - for standard output")
	f.BoolVar(&force, "force", false, "overwrite the file when it exists")
	f.StringVar(&flags.Cloud, "cloud", "", "AzureCloud, AzureChinaCloud or AzureUSGovernment")
	f.StringVar(&flags.Location, "location", "", "region, such as westeurope")
	f.StringVar(&flags.Edition, "edition", "", "edition of the egress list; the newest when not given")
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
	f.StringSliceVar(&flags.AddOns, "add-on", nil, "add-ons: monitoring, azure-policy, dev-spaces")
	f.StringVar(&flags.DevSpacesName, "dev-spaces-name", "", "name of the Dev Spaces controller")
	f.StringSliceVar(&flags.DNSServers, "dns-server", nil, "DNS servers the gateway asks")
	f.StringSliceVar(&flags.AllowPrivate, "allow-private", nil, "private prefixes that names may lead to")
	f.StringSliceVar(&flags.LoadBalancers, "load-balancer", nil, "public addresses of load balancers")
	f.StringVar(&flags.GatewayPrivate, "gateway-private", "", "private address of the gateway")
	f.StringVar(&flags.GatewayPublic, "gateway-public", "", "public address of the gateway")
	return c
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

// writeDraft writes the description, then lists on standard error what it lacks.
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
	required := 0
	for i, l := range draft.Lacks {
		if i == 0 {
			fmt.Fprintln(c.ErrOrStderr(), "\nnot known yet, to be filled in by you:")
		}
		need := "optional"
		if l.Required {
			need = "required"
			required++
		}
		fmt.Fprintf(c.ErrOrStderr(), "  %-22s %s (%s)\n", l.Key, l.What, need)
		if l.Command != "" {
			fmt.Fprintf(c.ErrOrStderr(), "  %-22s $ %s\n", "", l.Command)
		}
	}
	if required > 0 {
		return exit{code: exitUndecided}
	}
	return nil
}
