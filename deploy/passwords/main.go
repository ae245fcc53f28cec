// Passwords makes and rotates the passwords of the kit's Redis users. Run it in the
// folder of compose.yaml:
//
//	go run ./passwords init              make what is missing in secrets/
//	go run ./passwords rotate default    give the applications a new password
//	go run ./passwords retire default    remove the password that rotate -keep left valid
//
// It is a Go program and no shell script, so that it works alike on every machine. It
// needs no openssl or sha256sum, shows no password in a process list, and writes files in
// place, so that the change reaches the containers that mount them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const usage = `usage:
  passwords [-dir DIR] init                           make what is missing in secrets/
  passwords [-dir DIR] rotate [-grace 1m|-keep] USER  a new password for default, exporter or admin
  passwords [-dir DIR] retire USER                    leave only the newest password valid
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:]); {
	case errors.Is(err, errUsage):
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "passwords:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("no such command")

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("passwords", flag.ContinueOnError)
	flags.Usage = func() {} // main prints the usage
	dir := flags.String("dir", ".", "the folder of compose.yaml")
	if err := flags.Parse(args); err != nil {
		return errUsage
	}
	k := kit{dir: *dir}
	switch name, rest := flags.Arg(0), flags.Args(); name {
	case "init":
		if len(rest) != 1 {
			return errUsage
		}
		return k.init()
	case "rotate", "retire":
		sub := flag.NewFlagSet(name, flag.ContinueOnError)
		sub.Usage = flags.Usage
		var grace time.Duration
		var keep bool
		if name == "rotate" {
			sub.DurationVar(&grace, "grace", time.Minute, "how long the old password stays valid")
			sub.BoolVar(&keep, "keep", false, "leave the old password valid until retire")
		}
		if err := sub.Parse(rest[1:]); err != nil || sub.NArg() != 1 {
			return errUsage
		}
		u, err := userCalled(sub.Arg(0))
		if err != nil {
			return err
		}
		if name == "retire" {
			return k.retire(ctx, u)
		}
		if err := k.replace(ctx, u); err != nil {
			return err
		}
		if keep {
			fmt.Printf("both passwords are valid until: go run ./passwords retire %s\n", u.name)
			return nil
		}
		if err := wait(ctx, grace, u); err != nil {
			return err
		}
		return k.retire(ctx, u)
	default:
		return errUsage
	}
}
