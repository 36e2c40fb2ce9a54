// Copyright The Sallyport Authors
// SPDX-License-Identifier: Apache-2.0

// Command sallyport knows what a Kubernetes cluster must be able to reach,
// explains it, and enforces it. Each verb has a file of its own.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/sallyport/sallyport/catalog"
	"github.com/sallyport/sallyport/cluster"
	"github.com/sallyport/sallyport/compile"
	"github.com/sallyport/sallyport/internal/meant"
	"github.com/sallyport/sallyport/lab"
	"github.com/sallyport/sallyport/program"
)

// Exit codes, the same for every verb.
const (
	exitYes       = 0 // yes, done, equal
	exitNo        = 1 // findings, denied, different
	exitUsage     = 2 // bad usage or input
	exitUndecided = 3 // could not decide
)

// exit is an error that says which code to end with; an empty message has been
// said already.
type exit struct {
	code int
	err  error
}

func (e exit) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e exit) Unwrap() error { return e.err }

// endWith returns the end of a verb that asked several things: no outranks what
// could not be decided.
func endWith(no, undecided bool) error {
	switch {
	case no:
		return exit{code: exitNo}
	case undecided:
		return exit{code: exitUndecided}
	}
	return nil
}

func main() {
	if handled, code := lab.Main(os.Args); handled {
		os.Exit(code)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with everything passed in.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitYes
	}
	code := exitUsage
	var e exit
	if errors.As(err, &e) {
		code = e.code
	}
	if msg := err.Error(); msg != "" {
		fmt.Fprintln(stderr, "sallyport: "+msg)
	}
	return code
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "sallyport",
		Short: "Controls what a Kubernetes cluster may reach",
		Long: `Sallyport knows every address an AKS cluster needs, says why, and can be the
firewall that lets nothing else through.

Exit codes: 0 yes, 1 no (findings, denied, different), 2 bad usage or input,
3 could not decide.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	// Only verbs that keep running end by themselves when they are told to; a
	// signal ends every other one at once, also while it waits for a file.
	root.PersistentPreRun = func(c *cobra.Command, _ []string) {
		for at := c; at != nil; at = at.Parent() {
			if at.Name() == "gateway" || at.Name() == "lab" {
				return
			}
		}
		signal.Reset(os.Interrupt, syscall.SIGTERM)
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if text := meantFlag(c, err); text != "" {
			return fmt.Errorf("%w; %s", err, text)
		}
		return fmt.Errorf("%w; %s --help lists those there are", err, c.CommandPath())
	})
	root.AddCommand(initCommand(), rulesCommand(), whyCommand(), catalogCommand(), renderCommand(), auditCommand(), diffCommand(), testCommand(), gatewayCommand(), labCommand(), schemaCommand())
	return root
}

// meantFlag says which flag of c was meant by one that it does not have, "" when
// none is near.
func meantFlag(c *cobra.Command, err error) string {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return ""
	}
	var flags []string
	c.Flags().VisitAll(func(f *pflag.Flag) { flags = append(flags, f.Name) })
	name := unknown.GetSpecifiedName()
	if flag := meant.Nearest(name, flags); flag != "" && len(name) > 2 {
		return "did you mean --" + flag + "?"
	}
	return ""
}

// clusterFlag adds --cluster, whose default is the file in the current folder,
// and the flags that say which list it is read against.
func clusterFlag(c *cobra.Command, file *string) {
	c.Flags().StringVarP(file, "cluster", "c", "cluster.yaml", "cluster description, - for standard input")
	listFlags(c)
	c.Flags().String("service-tags", "", "file of Azure's service tags; fills AzureCloud.<Region> and RegionCIDRs")
}

// formatFlag adds -o with its choices.
func formatFlag(c *cobra.Command, format *string, choices string) {
	c.Flags().StringVarP(format, "output", "o", "table", "output: "+choices)
}

// load reads a cluster description and compiles it.
func load(c *cobra.Command, file string) (*cluster.Cluster, *program.Program, error) {
	cat, err := openCatalog(c)
	if err != nil {
		return nil, nil, err
	}
	described, err := describe(c, file, cat)
	if err != nil {
		return nil, nil, err
	}
	if err := chooseEdition(c, described); err != nil {
		return nil, nil, err
	}
	tags, err := openServiceTags(c)
	if err != nil {
		return nil, nil, err
	}
	p, err := compile.Compile(described, cat, tags)
	if err != nil {
		return nil, nil, err
	}
	return described, p, nil
}

// describe reads a cluster description. It may name the add-ons that cat knows.
func describe(c *cobra.Command, file string, cat *catalog.Catalog) (*cluster.Cluster, error) {
	var addOns []cluster.AddOn
	for _, a := range cat.AddOns() {
		addOns = append(addOns, cluster.AddOn(a))
	}
	if file != "-" {
		return cluster.Load(file, addOns...)
	}
	data, err := readAll(c)
	if err != nil {
		return nil, err
	}
	return cluster.Parse("standard input", data, addOns...)
}

// readAll reads standard input, as far as a description may be long.
func readAll(c *cobra.Command) ([]byte, error) {
	return io.ReadAll(io.LimitReader(c.InOrStdin(), cluster.MaxSize+1))
}

// isTerminal reports whether w is a terminal, and how wide it is.
func isTerminal(w io.Writer) (width int, ok bool) {
	f, isFile := w.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	width, _, err := term.GetSize(int(f.Fd()))
	return width, err == nil
}

// staleLine says loudly that a program was made from an old list.
func staleLine(p *program.Program) string {
	if p.Edition.Current {
		return ""
	}
	return fmt.Sprintf("WARNING: edition %s of the list is not current (newest known: %s). "+
		"A cluster built from it today may not start.", p.Edition.ID, p.Edition.NewestKnown)
}
