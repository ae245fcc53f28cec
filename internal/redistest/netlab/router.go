package netlab

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
)

// The numbers of a network of 256 addresses. Servers have those after here.
const (
	gateway = 254 // the router, on each of its links
	here    = 1   // this process
	last    = 250 // of a server
)

var errNoAddress = errors.New("the network has no more addresses")

// A router is a namespace that forwards packets between its hosts and this process. Each
// has a link of its own, so every packet passes the router's rules.
type router struct {
	*namespace
	net  string       // the first three numbers of its addresses
	link string       // the name of the link in this process's namespace
	all  []*namespace // of the hosts
}

// newRouter returns a router that only this process is connected to. The link's name is
// made from the network's number, and the kernel gives a name only once: no other lab of
// this machine can have the same network.
func newRouter() (*router, error) {
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	if err := n.setUp(); err != nil {
		n.close()
		return nil, err
	}
	for range 50 {
		a, b := 18+rand.IntN(2), rand.IntN(256)
		r := &router{namespace: n, net: fmt.Sprintf("198.%d.%d", a, b), link: fmt.Sprintf("netlab-%d-%d", a, b)}
		if err = r.connectHere(); err == nil {
			return r, nil
		}
		if !strings.Contains(err.Error(), "File exists") {
			break
		}
	}
	n.close()
	return nil, err
}

// setUp makes n forward packets, and finds out whether it can drop some.
func (n *namespace) setUp() error {
	if err := n.run("", "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"); err != nil {
		return fmt.Errorf("make a router forward packets: %w", err)
	}
	return errors.Join(n.drop("-p tcp --dport 1"), n.drop())
}

// drop makes n drop what matches any of rules, and nothing else, from one packet to the
// next.
func (n *namespace) drop(rules ...string) error {
	var b strings.Builder
	b.WriteString("*filter\n:FORWARD ACCEPT\n")
	for _, rule := range rules {
		fmt.Fprintf(&b, "-A FORWARD %s -j DROP\n", rule)
	}
	b.WriteString("COMMIT\n")
	return n.run(b.String(), "iptables-restore", "-w")
}

// ip returns the address of a host.
func (r *router) ip(number int) string { return fmt.Sprint(r.net, ".", number) }

// connectHere connects the namespace of this process.
func (r *router) connectHere() error {
	if err := runHere(fmt.Sprintf("link add %s type veth peer name here netns %s\n", r.link, r.path()), "ip", "-batch", "-"); err != nil {
		return err
	}
	err := errors.Join(
		r.run(r.towards("here", here), "ip", "-batch", "-"),
		runHere(r.from(r.link, here)+fmt.Sprintf("route add %s.0/24 via %s\n", r.net, r.ip(gateway)), "ip", "-batch", "-"),
	)
	if err != nil {
		r.unlink()
	}
	return err
}

// addHere gives the namespace of this process one more address.
func (r *router) addHere(number int) error {
	if number > last {
		return errNoAddress
	}
	return errors.Join(
		runHere("", "ip", "addr", "add", r.ip(number)+"/32", "dev", r.link),
		r.run("", "ip", "route", "add", r.ip(number), "dev", "here"),
	)
}

// connect connects a new namespace, as the host with the number.
func (r *router) connect(number int) (*namespace, error) {
	if number > last {
		return nil, errNoAddress
	}
	n, err := newNamespace()
	if err != nil {
		return nil, err
	}
	r.all = append(r.all, n)
	link := fmt.Sprint("host", number)
	return n, errors.Join(
		r.run(fmt.Sprintf("link add %s type veth peer name eth0 netns %s\n", link, n.path())+
			r.towards(link, number), "ip", "-batch", "-"),
		n.run("link set lo up\n"+r.from("eth0", number)+
			fmt.Sprintf("route add default via %s\n", r.ip(gateway)), "ip", "-batch", "-"),
	)
}

// towards returns the commands of ip that set up the router's end of a link.
func (r *router) towards(link string, number int) string {
	return fmt.Sprintf("addr add %[2]s/32 dev %[1]s\nlink set %[1]s up\nroute add %[3]s dev %[1]s\n",
		link, r.ip(gateway), r.ip(number))
}

// from returns the commands of ip that set up the host's end of a link.
func (r *router) from(link string, number int) string {
	return fmt.Sprintf("addr add %[2]s/32 dev %[1]s\nlink set %[1]s up\nroute add %[3]s dev %[1]s\n",
		link, r.ip(number), r.ip(gateway))
}

// unlink removes the link of this process. Both ends go at once.
func (r *router) unlink() {
	if err := runHere("", "ip", "link", "del", r.link); err != nil {
		fmt.Fprintln(os.Stderr, "netlab:", err)
	}
}

// close removes the network. The kernel removes the links of namespaces that are gone.
func (r *router) close() {
	r.unlink()
	for _, n := range r.all {
		n.close()
	}
	r.namespace.close()
}
