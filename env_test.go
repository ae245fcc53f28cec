package rediskit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/convkit/rediskit"
	"github.com/convkit/rediskit/internal/redistest"
	"github.com/convkit/rediskit/secrets"
)

func TestConfigFromEnvReadsEachVariable(t *testing.T) {
	certs := redistest.TLS(t)
	file := newSecretFile(t, "from-a-file\n")
	for name, value := range map[string]string{
		"REDIS_ADDRS":             " a:1, b:2 ,",
		"REDIS_SENTINEL_MASTER":   "mymaster",
		"REDIS_SENTINEL_USERNAME": "watcher",
		"REDIS_SENTINEL_PASSWORD": "for-sentinels",
		"REDIS_USERNAME":          "app",
		"REDIS_PASSWORD_FILE":     file.path,
		"REDIS_DB":                "3",
		"REDIS_TLS":               "true",
		"REDIS_TLS_CA_FILE":       certs.CA,
		"REDIS_TLS_CERT_FILE":     certs.ClientCert,
		"REDIS_TLS_KEY_FILE":      certs.ClientKey,
		"REDIS_TLS_SERVER_NAME":   "redis.example",
		"REDIS_CLIENT_NAME":       "gateway",
		"REDIS_POOL_SIZE":         "7",
		"REDIS_NO_EVICTION":       "yes",
		"REDIS_MIN_REPLICAS":      "2",
		"REDIS_CLUSTER":           "no",
	} {
		t.Setenv(name, value)
	}
	cfg, err := rediskit.ConfigFromEnv("")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(cfg.Addrs, []string{"a:1", "b:2"}) || cfg.MasterName != "mymaster" || cfg.SentinelUsername != "watcher" ||
		cfg.Username != "app" || cfg.DB != 3 || cfg.Name != "gateway" || cfg.PoolSize != 7 || !cfg.NoEviction || cfg.MinReplicas != 2 || cfg.Cluster {
		t.Errorf("%+v", cfg)
	}
	if cfg.TLS == nil || cfg.TLS.RootCAs == nil || len(cfg.TLS.Certificates) != 1 || cfg.TLS.ServerName != "redis.example" {
		t.Error("TLS is not what the variables say")
	}
	for source, want := range map[secrets.Source]string{cfg.Password: "from-a-file", cfg.SentinelPassword: "for-sentinels"} {
		if got, err := source.Read(t.Context()); err != nil || got.Reveal() != want {
			t.Errorf("password: %v", err)
		}
	}
}

func TestConfigFromEnvWithoutVariablesIsTheZeroConfig(t *testing.T) {
	cfg, err := rediskit.ConfigFromEnv("NOTHING_SET_")
	if err != nil || cfg.Addrs != nil || cfg.Password != nil || cfg.TLS != nil || cfg.DB != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestConfigFromEnvKeepsInstancesApart(t *testing.T) {
	t.Setenv("REDIS_ADDR", "cache:6379")
	t.Setenv("STATE_REDIS_ADDR", "state:6379")
	for prefix, want := range map[string]string{"": "cache:6379", "STATE_": "state:6379"} {
		if cfg, err := rediskit.ConfigFromEnv(prefix); err != nil || cfg.Addrs[0] != want {
			t.Errorf("%q: %v, %v", prefix, cfg.Addrs, err)
		}
	}
}

func TestConfigFromEnvRefusesContradictionsAndNonsense(t *testing.T) {
	certs := redistest.TLS(t)
	const url = "redis://user:" + canary + "@host:6379/1"
	for i, test := range []struct {
		env  string // lines
		want []string
	}{
		{"URL=" + url + "\nADDR=" + canary, []string{"ADDR contradicts", "URL"}},
		{"URL=" + url + "\nADDRS=" + canary, []string{"ADDRS contradicts"}},
		{"ADDR=a\nADDRS=b", []string{"ADDRS contradicts"}},
		{"URL=" + url + "\nPASSWORD=" + canary, []string{"PASSWORD contradicts the password in"}},
		{"URL=" + url + "\nPASSWORD_FILE=" + canary, []string{"PASSWORD_FILE contradicts the password in"}},
		{"ADDR=redis://:" + canary + "@h", []string{"ADDR is a URL"}},
		{"ADDR=h:99999", []string{"ADDR is not host:port"}},
		{"ADDRS=,", []string{"ADDRS names no address"}},
		{"ADDRS=a," + canary + "@b", []string{"ADDRS is not"}},
		{"PASSWORD=" + canary + "\nPASSWORD_FILE=" + canary, []string{"PASSWORD contradicts"}},
		{"PASSWORD=\nPASSWORD_FILE=" + canary, []string{"PASSWORD contradicts"}},
		{"URL=" + url + "\nUSERNAME=" + canary, []string{"USERNAME contradicts"}},
		{"URL=" + url + "\nDB=2", []string{"DB contradicts"}},
		{"URL=redis://" + canary + "%zz", []string{"URL", "percent-encode"}},
		{"URL=http://" + canary, []string{"URL", "redis://"}},
		{"DB=" + canary, []string{"DB must be a whole number"}},
		{"DB=-1", []string{"DB must be a whole number, 0 or more"}},
		{"POOL_SIZE=0", []string{"POOL_SIZE must be a whole number, 1 or more"}},
		{"MIN_REPLICAS=-1", []string{"MIN_REPLICAS must be a whole number, 0 or more"}},
		{"TLS=" + canary, []string{"TLS must be true or false"}},
		{"TLS=false\nTLS_CA_FILE=" + certs.CA, []string{"TLS is false"}},
		{"URL=rediss://h\nTLS=false", []string{"TLS contradicts"}},
		{"SENTINEL_PASSWORD=" + canary, []string{"SENTINEL_PASSWORD needs", "SENTINEL_MASTER"}},
		{"SENTINEL_PASSWORD_FILE=" + canary, []string{"SENTINEL_PASSWORD_FILE needs", "SENTINEL_MASTER"}},
		{"SENTINEL_USERNAME=" + canary, []string{"SENTINEL_USERNAME needs", "SENTINEL_MASTER"}},
		{"TLS_CA_FILE=" + certs.ServerKey, []string{"TLS_CA_FILE must be"}},
		{"TLS_CERT_FILE=" + certs.ClientCert, []string{"TLS_CERT_FILE", "TLS_KEY_FILE must be"}},
		{"NO_EVICTION=" + canary + "\nDB=x", []string{"NO_EVICTION must be", "DB must be"}},
	} {
		prefix := fmt.Sprint("CASE", i, "_")
		for line := range strings.SplitSeq(test.env, "\n") {
			name, value, _ := strings.Cut(line, "=")
			t.Setenv(prefix+"REDIS_"+name, value)
		}
		_, err := rediskit.ConfigFromEnv(prefix)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", test.env, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), prefix+"REDIS_") {
				t.Errorf("%q: %v, want %q in it", test.env, err, want)
			}
		}
	}
}

func TestAnEmptyPasswordVariableFailsConnect(t *testing.T) {
	t.Setenv("EMPTY_REDIS_PASSWORD", "")
	cfg, err := rediskit.ConfigFromEnv("EMPTY_")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rediskit.Connect(within(t), cfg); err == nil || !strings.Contains(err.Error(), "EMPTY_REDIS_PASSWORD is empty") {
		t.Errorf("got %v", err)
	}
}

func TestConfigFromURL(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"redis://host":                          "[host] user= db=0 tls=false",
		"redis://host:1":                        "[host:1] user= db=0 tls=false",
		"redis://app:" + canary + "@host:1/2":   "[host:1] user=app db=2 tls=false password",
		"redis://:" + canary + "@host":          "[host] user= db=0 tls=false password",
		"rediss://host/?db=4":                   "[host] user= db=4 tls=true",
		"rediss://app:c4nary%2Dpassw0rd@host/2": "[host] user=app db=2 tls=true password",
		"redis://[::1]:7/3":                     "[[::1]:7] user= db=3 tls=false",
		"unix:///run/redis.sock?db=1":           "[/run/redis.sock] user= db=1 tls=false",
		"unix://app:" + canary + "@/run/r.sock": "[/run/r.sock] user=app db=0 tls=false password",
	} {
		cfg, err := rediskit.ConfigFromURL(url)
		got := fmt.Sprintf("%v user=%s db=%d tls=%t", cfg.Addrs, cfg.Username, cfg.DB, cfg.TLS != nil)
		if cfg.Password != nil {
			if secret, err := cfg.Password.Read(t.Context()); err == nil && secret.Reveal() == canary {
				got += " password"
			}
		}
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", url, got, err, want)
		}
	}
	for _, url := range []string{
		"", canary, "host:6379", "http://" + canary, "redis://", "unix://", "redis://" + canary + "%zz",
		"redis://" + canary + ":1#x@h", "redis://h?db=3;x", "redis://h?db=1&db=2", "unix://run/" + canary, "redis://h/1#" + canary,
		"redis://h/" + canary, "redis://h/-1", "redis://h/1?db=1", "redis://h?password=" + canary, "redis://u:" + canary + "/x@h",
	} {
		if cfg, err := rediskit.ConfigFromURL(url); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %+v, %v", url, cfg.Addrs, err)
		}
	}
}

// No error contains the password in a URL, whatever text surrounds it. If the password
// becomes another part of the URL, only that field of the Config contains it.
func FuzzErrorsOfConfigFromURLNeverShowTheURL(f *testing.F) {
	for _, around := range [][2]string{
		{"redis://user:", "@host:6379/1"},
		{"://", "%"},
		{"redis://:", "@h"},
		{"rediss://u:", "@[::1]:7?db=3"},
		{"unix://u:", "@/run/r.sock"},
		{"redis://u:12", "#34@h"},
		{"redis://u:", "/4@h"},
		{"redis://u:", "?@h"},
		{"redis://", ""},
		{"redis://h/", ""},
		{"redis://h?db=", ""},
		{"redis://%", ""},
		{"redis://%", "@h"},
	} {
		f.Add(around[0], around[1])
	}
	f.Fuzz(func(t *testing.T, before, after string) {
		cfg, err := rediskit.ConfigFromURL(before + canary + after)
		if err == nil {
			_, err = rediskit.Connect(ended(t), cfg)
		}
		where := fmt.Sprintf("%s %[1]q %s %[2]q", cfg.Addrs, cfg.Username) // %c4 becomes a byte that %q writes as \xc4
		if err == nil || strings.Contains(err.Error(), canary) && !strings.Contains(where, canary) {
			t.Errorf("%q: %v", before+canary+after, err)
		}
		if text := fmt.Sprintf("%+v %#v", cfg, cfg); strings.Contains(text, canary) && !strings.Contains(where, canary) {
			t.Errorf("%q prints as %s", before+canary+after, text)
		}
	})
}

// ConfigFromEnv and Connect return for any values of the variables. Their errors may
// contain a valid address and the path of a password's file, and no other value.
func FuzzErrorsOfConfigFromEnvNeverShowAValue(f *testing.F) {
	names := []string{
		"URL", "ADDR", "ADDRS", "CLUSTER", "SENTINEL_MASTER", "SENTINEL_USERNAME", "SENTINEL_PASSWORD_FILE", "SENTINEL_PASSWORD",
		"USERNAME", "PASSWORD_FILE", "PASSWORD", "DB", "TLS", "TLS_CA_FILE", "TLS_CERT_FILE", "TLS_KEY_FILE", "TLS_SERVER_NAME",
		"CLIENT_NAME", "POOL_SIZE", "NO_EVICTION", "MIN_REPLICAS",
	}
	for i := range names {
		for _, value := range []string{"", "x", "1", "true", canary, "h:1," + canary, "redis://u:" + canary + "@h", "/" + canary, "\n" + canary, "99999999999999999999"} {
			f.Add(uint8(i), value, uint8(i*7+3), value)
			f.Add(uint8(i), value, uint8(1), "h:1")
		}
	}
	f.Fuzz(func(t *testing.T, i uint8, a string, j uint8, b string) {
		allowed := "" // what an error may contain
		for k, value := range map[uint8]string{j: b, i: a} {
			name := names[int(k)%len(names)]
			if os.Setenv("FUZZ_REDIS_"+name, value) != nil {
				return // with a NUL
			}
			defer os.Unsetenv("FUZZ_REDIS_" + name)
			switch name {
			case "ADDR", "ADDRS", "URL", "PASSWORD_FILE", "SENTINEL_PASSWORD_FILE":
				allowed += value
			}
		}
		cfg, err := rediskit.ConfigFromEnv("FUZZ_")
		if err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s=%q, %s=%q: %v", names[int(i)%len(names)], a, names[int(j)%len(names)], b, err)
		}
		if err != nil {
			return
		}
		_, err = rediskit.Connect(ended(t), cfg)
		if err == nil || strings.Contains(err.Error(), canary) && !strings.Contains(allowed, canary) {
			t.Errorf("%s=%q, %s=%q: Connect: %v", names[int(i)%len(names)], a, names[int(j)%len(names)], b, err)
		}
	})
}

// ended is a context that has ended.
func ended(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestEveryImpossibleConfigNamesItsField(t *testing.T) {
	t.Parallel()
	certs := redistest.TLS(t)
	for _, test := range []struct {
		cfg  rediskit.Config
		want string
	}{
		{rediskit.Config{Addrs: []string{"redis://:" + canary + "@host"}}, "Config.Addrs[0] is not host:port"},
		{rediskit.Config{Addrs: []string{"ok:1", "host:0"}}, "Config.Addrs[1]"},
		{rediskit.Config{Addrs: []string{"host:99999"}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{""}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"host:" + canary}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"host\n:6379"}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"a:1,b:2"}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"a,b"}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"[a"}}, "Config.Addrs[0]"},
		{rediskit.Config{Addrs: []string{"unix://redis.sock"}}, "Config.Addrs[0]"},
		{rediskit.Config{SentinelPassword: static(canary)}, "Config.SentinelPassword"},
		{rediskit.Config{Addrs: []string{"a"}, MasterName: "m", SentinelUsername: canary}, "Config.SentinelUsername"},
		{rediskit.Config{Addrs: []string{"/a.sock", "b:1"}}, "Config.Addrs has a Unix socket"},
		{rediskit.Config{Addrs: []string{"/a.sock"}, TLS: certs.Config()}, "Config.TLS"},
		{rediskit.Config{MasterName: "m"}, "Config.Addrs is empty"},
		{rediskit.Config{Addrs: []string{"a"}, MasterName: "m", Cluster: true}, "Config.Cluster"},
		{rediskit.Config{SentinelUsername: canary}, "Config.SentinelUsername"},
		{rediskit.Config{DB: -1}, "Config.DB"},
		{rediskit.Config{Addrs: []string{"a", "b"}, DB: 1}, "Config.DB"},
		{rediskit.Config{PoolSize: -1}, "Config.PoolSize"},
		{rediskit.Config{PoolSize: 1<<16 + 1}, "Config.PoolSize"},
		{rediskit.Config{MaxWaiting: -1}, "Config.MaxWaiting"},
		{rediskit.Config{MinReplicas: -1}, "Config.MinReplicas"},
		{rediskit.Config{DialTimeout: -1}, "Config.DialTimeout"},
		{rediskit.Config{ReadTimeout: 1}, "Config.ReadTimeout"},
		{rediskit.Config{WriteTimeout: -1}, "Config.WriteTimeout"},
		{rediskit.Config{PoolTimeout: -1}, "Config.PoolTimeout"},
		{rediskit.Config{Password: secrets.File(filepath.Join(os.TempDir(), "no", "such"))}, "Config.Password"},
	} {
		if _, err := rediskit.Connect(short(t), test.cfg); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), canary) {
			t.Errorf("got %v, want %q in it", err, test.want)
		}
	}
}
