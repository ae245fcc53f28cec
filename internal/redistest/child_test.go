package redistest

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	echo = Child("echo", func(args []string) {
		fmt.Println("args", strings.Join(args, ","))
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			if in.Text() == "end" {
				fmt.Println("bye")
				return
			}
			fmt.Println("got", in.Text())
		}
	})
	keeper = Child("keeper", func([]string) {
		p, err := launch()
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.current().cmd.Process.Pid)
		fmt.Println(filepath.Dir(p.Dir()))
		time.Sleep(time.Hour)
	})
	racer = Child("racer", func([]string) {
		fmt.Fprintln(os.Stderr, "WARNING: DATA RACE") // the text of the race detector
	})
)

func TestAChildSendsAndReceivesLines(t *testing.T) {
	t.Parallel()
	p := Spawn(t, echo, "-a", "b c")
	if got := p.Line(); got != "args -a,b c" {
		t.Errorf("first line %q", got)
	}
	p.Send("one")
	p.Send("two")
	p.Pause()
	p.Resume()
	for _, want := range []string{"got one", "got two"} {
		if got := p.Line(); got != want {
			t.Errorf("line %q, want %q", got, want)
		}
	}
	p.Send("end")
	if err := p.Wait(); err != nil {
		t.Errorf("Wait: %v", err)
	}
	if got := p.Line(); got != "bye" {
		t.Errorf("line read after the end: %q", got)
	}
}

func TestADataRaceInAChildFailsTheTest(t *testing.T) {
	t.Parallel()
	probe := &recorder{TB: t}
	if err := Spawn(probe, racer).Wait(); err != nil {
		t.Fatal(err)
	}
	probe.cleanup()
	if probe.errors != 1 {
		t.Errorf("%d failures reported", probe.errors)
	}
}

func TestAKilledChildIsReaped(t *testing.T) {
	t.Parallel()
	p := Spawn(t, echo)
	p.Line()
	p.Pause()
	p.Kill()
	if alive(p.PID()) {
		t.Error("the child is still there")
	}
	if err := p.Wait(); err == nil {
		t.Error("Wait reports no error for a killed child")
	}
}

func TestAKilledTestBinaryLeavesNoServer(t *testing.T) {
	startsReal(t)
	p := Spawn(t, keeper)
	pid, err := strconv.Atoi(p.Line())
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(p.Line()) // a killed binary cannot remove its files
	if !alive(pid) {
		t.Fatal("the server is not there")
	}
	p.Kill()
	Eventually(t, func() bool { return !alive(pid) }, "the server ends with the binary that started it")
}
