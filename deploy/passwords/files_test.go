package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/convkit/rediskit/secrets"
)

// newKit returns a new folder with the templates of the kit.
func newKit(t *testing.T) kit {
	t.Helper()
	k := kit{dir: t.TempDir()}
	if err := os.CopyFS(filepath.Join(k.dir, "redis"), os.DirFS("../redis")); err != nil {
		t.Fatal(err)
	}
	return k
}

func mustInit(t *testing.T, k kit) map[string]string {
	t.Helper()
	if err := k.init(); err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	list, err := os.ReadDir(k.secret(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range list {
		content, err := os.ReadFile(k.secret(file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[file.Name()] = string(content)
	}
	return files
}

func TestInitMakesWhatIsMissingAndKeepsTheRest(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	first := mustInit(t, k)
	for _, name := range []string{"redis_password.txt", "admin_password.txt"} {
		if !regexp.MustCompile(`^[0-9a-f]{64}\n$`).MatchString(first[name]) {
			t.Errorf("%s is not 64 hexadecimal characters", name)
		}
	}
	if first["redis_password.txt"] == first["admin_password.txt"] {
		t.Error("two users have the same password")
	}
	if again := mustInit(t, k); len(again) != 6 {
		t.Errorf("there are %d files, want 6", len(again))
	} else {
		for name := range first {
			if again[name] != first[name] {
				t.Errorf("%s changed", name)
			}
		}
	}
	if err := os.Remove(k.secret("admin_password.txt")); err != nil {
		t.Fatal(err)
	}
	third := mustInit(t, k)
	if third["admin_password.txt"] == first["admin_password.txt"] || third["redis_password.txt"] != first["redis_password.txt"] {
		t.Error("init must make the missing password and no other")
	}
}

// Other users cannot enter the folder. The users of the containers, which do not exist
// on the host, can read the mounted files.
func TestTheFolderIsPrivateAndItsFilesAreReadable(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	mustInit(t, k)
	if err := os.Chmod(k.secret(""), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(k.secret("exporter.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name := range mustInit(t, k) {
		if info, err := os.Stat(k.secret(name)); err != nil || info.Mode() != 0o444 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(k.secret("")); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("the folder: %v, %v", info.Mode(), err)
	}
}

// A password of the user's choice, such as from `openssl rand -base64 32`.
func TestAPasswordThatTheUserChoseIsKept(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	if err := os.Mkdir(k.secret(""), 0o700); err != nil {
		t.Fatal(err)
	}
	const own = "jH4/k+tz pw="
	if err := os.WriteFile(k.secret("redis_password.txt"), []byte(own+"\r\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := mustInit(t, k)
	if strings.TrimSpace(files["redis_password.txt"]) != own {
		t.Error("the password was changed")
	}
	for _, name := range []string{"cache.acl", "state.acl", "single.acl"} {
		// Clients send the trimmed password, so its hash must be in the ACL file.
		if hashes := hashesOf("default", files[name]); len(hashes) != 1 || hashes[0] != hash(secrets.New(own)) {
			t.Errorf("%s has %v", name, hashes)
		}
	}
}

func TestTheExportersMapWorksForOldAndNewVersions(t *testing.T) {
	t.Parallel()
	var got map[string]string
	if err := json.Unmarshal([]byte(mustInit(t, newKit(t))["exporter.json"]), &got); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"redis://redis:6379", "redis://exporter@redis:6379", "redis://redis-state:6379", "redis://exporter@redis-state:6379"} {
		if len(got[target]) != 64 {
			t.Errorf("no password for %s", target)
		}
	}
}

func TestABrokenPasswordFileIsNamedAndNotChanged(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]string{"redis_password.txt": "\n", "admin_password.txt": "one\ntwo\n", "exporter.json": "plain"} {
		k := newKit(t)
		mustInit(t, k)
		if err := os.Chmod(k.secret(name), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(k.secret(name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := k.init(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(k.secret(name)); err != nil || string(now) != content {
			t.Errorf("%s is now %q, %v", name, now, err)
		}
	}
}

// A container mounts the inode, so a new file under the old name would not reach it. A
// client that reads the file at any time must not find it empty.
func TestFilesAreWrittenInPlaceAndNeverShrink(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	inode := func() uint64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*syscall.Stat_t).Ino
	}
	var first uint64
	size := 0
	for i, content := range []string{"a rather long one\n", "short\n", "a much, much longer one than before\n", "short\n"} {
		if err := writeInPlace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || strings.TrimRight(string(got), "\n")+"\n" != content {
			t.Fatalf("%q, %v", got, err)
		}
		if len(got) < size {
			t.Errorf("shrank from %d to %d bytes", size, len(got))
		}
		size = len(got)
		if i == 0 {
			first = inode()
		} else if inode() != first {
			t.Error("the file was replaced")
		}
	}
}

func TestATemplateBecomesOneLineForEachUser(t *testing.T) {
	t.Parallel()
	const template = "# why\nuser a on {passwords}\n  ~k:*\n# why\n\t+get\n\nuser b on nopass\n"
	got, err := render(template, map[string][]string{"a": {"#1", "#2"}})
	if want := "user a on #1 #2 ~k:* +get\nuser b on nopass\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	for _, broken := range []string{"  ~k:*\n", "user c on {passwords}\n"} {
		if got, err := render(broken, nil); err == nil {
			t.Errorf("%q became %q", broken, got)
		}
	}
}

func TestAnInvalidCommandLineChangesNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	for _, args := range [][]string{{}, {"init", "x"}, {"rotate"}, {"retire", "default", "admin"}, {"retire", "-keep", "default"}, {"other"}, {"-x", "init"}} {
		if err := run(t.Context(), append([]string{"-dir", k.dir}, args...)); !errors.Is(err, errUsage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if err := run(t.Context(), []string{"-dir", k.dir, "rotate", "nobody"}); err == nil || !strings.Contains(err.Error(), "no such user") {
		t.Errorf("rotate nobody: %v", err)
	}
	elsewhere := kit{dir: t.TempDir()}
	if err := elsewhere.init(); err == nil || !strings.Contains(err.Error(), "folder of compose.yaml") {
		t.Errorf("init elsewhere: %v", err)
	}
	for _, k := range []kit{k, elsewhere} {
		if _, err := os.Stat(k.secret("")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("secrets/ exists: %v", err)
		}
	}
}
