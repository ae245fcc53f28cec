package rediskit

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/convkit/rediskit/secrets"
)

// ConfigFromEnv reads a Config from environment variables. With prefix a service can
// use two instances: "" reads REDIS_ADDR, and "STATE_" reads STATE_REDIS_ADDR.
//
//	REDIS_URL                redis://, rediss:// or unix://, see ConfigFromURL
//	REDIS_ADDR               host:port, or the path of a Unix socket
//	REDIS_ADDRS              several, separated by commas
//	REDIS_CLUSTER            true: a single address is the first node of a Cluster
//	REDIS_SENTINEL_MASTER    Config.MasterName; the addresses are those of Sentinels
//	REDIS_SENTINEL_USERNAME  and
//	REDIS_SENTINEL_PASSWORD_FILE or REDIS_SENTINEL_PASSWORD, for the Sentinels
//	REDIS_USERNAME           the ACL user
//	REDIS_PASSWORD_FILE      the path of a file, or
//	REDIS_PASSWORD           the password itself
//	REDIS_DB                 the number of the database
//	REDIS_TLS                true: TLS with the certificate authorities of the system
//	REDIS_TLS_CA_FILE        a PEM file of authorities to use instead of those
//	REDIS_TLS_CERT_FILE      the client's PEM certificate and
//	REDIS_TLS_KEY_FILE       its key
//	REDIS_TLS_SERVER_NAME    the name in the server's certificate
//	REDIS_CLIENT_NAME        Config.Name
//	REDIS_POOL_SIZE          Config.PoolSize
//	REDIS_NO_EVICTION        true: Config.NoEviction
//	REDIS_MIN_REPLICAS       Config.MinReplicas
//
// An empty variable counts as not set, with one exception: an empty REDIS_PASSWORD is
// an error of [Connect], because it is more often a mistake than intended. What is not
// set has the default of [Config].
//
// It is an error if something is set twice (URL and ADDR, or both forms of a password)
// or cannot be understood. The error names the variable and says what would be right.
// It never contains the value. All errors are reported together. Files of certificates
// are read now; passwords are read by [Connect].
func ConfigFromEnv(prefix string) (Config, error) {
	e := &environment{prefix: prefix + "REDIS_"}
	var cfg Config
	if raw := e.get("URL"); raw != "" {
		var err error
		if cfg, err = ConfigFromURL(raw); err != nil {
			e.wrong("URL", "%s", strings.TrimPrefix(err.Error(), "rediskit: "))
		}
		e.exclude("URL", "ADDR", "ADDRS")
	}
	e.exclude("ADDR", "ADDRS")
	cfg.Cluster = e.bool("CLUSTER")
	cfg.MasterName = e.get("SENTINEL_MASTER")
	if addr := e.get("ADDR"); addr != "" {
		cfg.Addrs = []string{addr}
		e.addresses("ADDR", cfg)
	}
	if addrs := e.get("ADDRS"); addrs != "" {
		cfg.Addrs = strings.FieldsFunc(addrs, func(r rune) bool { return r == ',' || r == ' ' })
		e.addresses("ADDRS", cfg)
	}
	cfg.SentinelUsername = e.get("SENTINEL_USERNAME")
	cfg.SentinelPassword = e.password("SENTINEL_", nil)
	for _, name := range []string{"SENTINEL_USERNAME", "SENTINEL_PASSWORD_FILE", "SENTINEL_PASSWORD"} {
		if cfg.MasterName == "" && e.get(name) != "" {
			e.wrong(name, "needs %sSENTINEL_MASTER, the name under which the Sentinels know the primary", e.prefix)
		}
	}
	if name := e.get("USERNAME"); name != "" {
		if cfg.Username != "" {
			e.wrong("USERNAME", "contradicts the user in %sURL: set one of them", e.prefix)
		}
		cfg.Username = name
	}
	cfg.Password = e.password("", cfg.Password)
	if e.get("DB") != "" {
		if cfg.DB != 0 {
			e.wrong("DB", "contradicts the database in %sURL: set one of them", e.prefix)
		}
		cfg.DB = e.number("DB", 0)
	}
	cfg.TLS = e.tls(cfg.TLS)
	cfg.Name = e.get("CLIENT_NAME")
	if e.get("POOL_SIZE") != "" {
		cfg.PoolSize = e.number("POOL_SIZE", 1)
	}
	cfg.NoEviction = e.bool("NO_EVICTION")
	if e.get("MIN_REPLICAS") != "" {
		cfg.MinReplicas = e.number("MIN_REPLICAS", 0)
	}
	if len(e.errs) > 0 {
		return Config{}, errors.Join(e.errs...)
	}
	return cfg, nil
}

// environment reads variables and collects the errors.
type environment struct {
	prefix string
	errs   []error
}

func (e *environment) get(name string) string {
	return strings.TrimSpace(os.Getenv(e.prefix + name))
}

func (e *environment) wrong(name, format string, args ...any) {
	e.errs = append(e.errs, fmt.Errorf("rediskit: %s%s %s", e.prefix, name, fmt.Sprintf(format, args...)))
}

// exclude reports each of others that is set together with name.
func (e *environment) exclude(name string, others ...string) {
	for _, other := range others {
		if e.get(name) != "" && e.get(other) != "" {
			e.wrong(other, "contradicts %s%s: set one of them", e.prefix, name)
		}
	}
}

// addresses reports the addresses in cfg, read from the variable name, that are wrong.
func (e *environment) addresses(name string, cfg Config) {
	if len(cfg.Addrs) == 0 {
		e.wrong(name, "names no address: write host:port, several separated by commas")
	}
	for _, addr := range cfg.Addrs {
		if strings.Contains(addr, "://") && !strings.HasPrefix(addr, "unix://") {
			e.wrong(name, "is a URL: a URL belongs in %sURL", e.prefix)
		} else if _, err := cfg.address(addr); err != nil {
			e.wrong(name, "%v", err)
		}
	}
}

func (e *environment) bool(name string) bool {
	switch strings.ToLower(e.get(name)) {
	case "", "0", "f", "false", "no", "off":
		return false
	case "1", "t", "true", "yes", "on":
		return true
	}
	e.wrong(name, "must be true or false")
	return false
}

func (e *environment) number(name string, least int) int {
	n, err := strconv.Atoi(e.get(name))
	if err != nil || n < least {
		e.wrong(name, "must be a whole number, %d or more", least)
	}
	return n
}

// password returns the source that the variables name, else that of the URL.
func (e *environment) password(kind string, fromURL secrets.Source) secrets.Source {
	file := e.get(kind + "PASSWORD_FILE")
	_, plain := os.LookupEnv(e.prefix + kind + "PASSWORD")
	switch {
	case file != "" && plain:
		e.wrong(kind+"PASSWORD", "contradicts %s%sPASSWORD_FILE: set one of them", e.prefix, kind)
	case file != "" && fromURL != nil:
		e.wrong(kind+"PASSWORD_FILE", "contradicts the password in %sURL: set one of them", e.prefix)
	case plain && fromURL != nil:
		e.wrong(kind+"PASSWORD", "contradicts the password in %sURL: set one of them", e.prefix)
	case file != "":
		return secrets.File(file)
	case plain:
		return secrets.Env(e.prefix + kind + "PASSWORD")
	}
	return fromURL
}

func (e *environment) tls(fromURL *tls.Config) *tls.Config {
	ca, cert, key := e.get("TLS_CA_FILE"), e.get("TLS_CERT_FILE"), e.get("TLS_KEY_FILE")
	name := e.get("TLS_SERVER_NAME")
	switch on := e.bool("TLS"); {
	case fromURL != nil && e.get("TLS") != "" && !on:
		e.wrong("TLS", "contradicts rediss:// in %sURL: unset it, or write redis://", e.prefix)
		return nil
	case on || fromURL != nil:
	case e.get("TLS") != "" && ca+cert+key+name != "":
		e.wrong("TLS", "is false beside other %sTLS_ variables: unset it, or them", e.prefix)
		return nil
	case ca+cert+key+name == "":
		return nil
	}
	config := &tls.Config{ServerName: name}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		config.RootCAs = x509.NewCertPool()
		if err != nil || !config.RootCAs.AppendCertsFromPEM(pem) {
			e.wrong("TLS_CA_FILE", "must be the path of a readable file with PEM certificates")
		}
	}
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			e.wrong("TLS_CERT_FILE", "and %sTLS_KEY_FILE must be the paths of a readable PEM certificate and its key", e.prefix)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// ConfigFromURL reads a Config from a URL of one of these forms:
//
//	redis://user:password@host:port/db      without a port 6379, without a database 0
//	rediss://user:password@host:port/db     the same over TLS
//	unix://user:password@/path/to.sock?db=0
//
// The user, or the whole user:password@, may be left out. The database may be written
// as ?db=, which is the only option. The password is percent-encoded; in base64, this
// concerns / and +. Errors contain no part of the URL.
func ConfigFromURL(raw string) (Config, error) {
	u, err := url.Parse(raw)
	if err != nil { // its text quotes the URL
		return Config{}, errors.New("rediskit: the URL cannot be parsed: write redis://user:password@host:port/db and percent-encode what is special in the password")
	}
	var cfg Config
	switch u.Scheme {
	case "redis", "rediss":
		if u.Host == "" {
			return Config{}, errors.New("rediskit: the URL has no host: write redis://host:port")
		}
		cfg.Addrs = []string{u.Host}
		if u.Scheme == "rediss" {
			cfg.TLS = &tls.Config{}
		}
	case "unix":
		if u.Host != "" || u.Path == "" {
			return Config{}, errors.New("rediskit: the URL is not of a path: write unix:///path/to.sock")
		}
		cfg.Addrs = []string{u.Path}
	default:
		return Config{}, errors.New("rediskit: the URL begins with none of redis://, rediss:// and unix://")
	}
	if u.User != nil {
		cfg.Username = u.User.Username()
		if password, ok := u.User.Password(); ok && password != "" {
			cfg.Password = secrets.Static(secrets.New(password))
		}
	}
	if u.Fragment != "" { // it is probably a part of the password
		return Config{}, errors.New("rediskit: the URL has a #: percent-encode it as %23")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || len(query["db"]) > 1 {
		return Config{}, errors.New("rediskit: the URL's options cannot be understood: write ?db=0")
	}
	db := query.Get("db")
	query.Del("db")
	if len(query) > 0 {
		return Config{}, errors.New("rediskit: the URL has an option other than db: set it in Config")
	}
	if path := strings.Trim(u.Path, "/"); u.Scheme != "unix" && path != "" {
		if db != "" {
			return Config{}, errors.New("rediskit: the URL names the database twice: leave out ?db=")
		}
		db = path
	}
	if db != "" {
		if cfg.DB, err = strconv.Atoi(db); err != nil || cfg.DB < 0 {
			return Config{}, errors.New("rediskit: the URL's database must be a whole number, 0 or more")
		}
	}
	return cfg, nil
}
