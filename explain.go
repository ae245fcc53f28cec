package rediskit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/redis/go-redis/v9"

	"github.com/convkit/rediskit/internal/primary"
	"github.com/convkit/rediskit/internal/redact"
	"github.com/convkit/rediskit/internal/refusal"
)

// explain returns err without data, as a *refusal.Misfit if waiting does not help.
func explain(err error, cfg Config) error {
	var misfit *refusal.Misfit
	if err == nil || errors.As(err, &misfit) {
		return err
	}
	clean := redact.Clean(err)
	if advice := adviceOn(err, cfg); advice != "" {
		return &refusal.Misfit{Cause: clean, Advice: advice}
	}
	if errors.Is(err, primary.ErrUnknownName) {
		return &refusal.Misfit{Advice: "no Sentinel knows Config.MasterName: compare it with the Sentinels' own configuration"}
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == opHandshake {
		return fmt.Errorf("%w; does the server speak TLS on this port?", clean)
	}
	if cfg.TLS == nil && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		return fmt.Errorf("the server hung up (%w); does it expect TLS?", clean)
	}
	return clean
}

// repliesThatStay are beginnings of replies that stay the same at the next attempt. None
// of them is a refusal that passes.
var repliesThatStay = []struct{ prefix, advice string }{
	{"WRONGPASS", "set Config.Username and Config.Password to a user of the server"},
	{"ERR invalid password", "set Config.Password to the server's"},
	{"NOAUTH", "the server wants a password: set Config.Password"},
	{"ERR AUTH", "the server has no password: set Config.Password to secrets.None()"},
	{"ERR Client sent AUTH", "the server has no password: set Config.Password to secrets.None()"},
	{"NOPERM", "grant the user +@connection +ping and +select if Config.DB is set; on a Cluster +cluster|slots and +command too"},
	{"DENIED", "the server is in protected mode: give it a password, or bind it to this network"},
	{"ERR DB index is out of range", "set Config.DB below the server's number of databases"},
	{"ERR invalid DB index", "set Config.DB below the server's number of databases"},
	{"ERR SELECT is not allowed in cluster mode", "the server is a Cluster's: set Config.DB to 0 and Config.Cluster"},
	{"ERR This instance has cluster support disabled", "the server is no Cluster's: give Config one address and leave Cluster false"},
	{"ERR unknown command", "the server lacks or has renamed a command that connecting needs: PING, and on a Cluster CLUSTER SLOTS"},
}

// adviceOn returns what to do about err if waiting does not help, else "".
func adviceOn(err error, cfg Config) string {
	var reply redis.Error
	if errors.As(err, &reply) {
		for _, stays := range repliesThatStay {
			if strings.HasPrefix(reply.Error(), stays.prefix) {
				if _, ofSentinel := errors.AsType[*primary.SentinelError](err); ofSentinel {
					return strings.ReplaceAll(stays.advice, "Config.", "Config.Sentinel")
				}
				return stays.advice
			}
		}
		if r, refused := refusal.Of(reply); refused && !r.Passes {
			return "the server gives this reply until it is configured otherwise"
		}
		return ""
	}
	var (
		notTLS      tls.RecordHeaderError
		certificate *tls.CertificateVerificationError
		alert       *net.OpError
	)
	switch {
	case errors.As(err, &notTLS):
		return "the server does not speak TLS on this port: leave Config.TLS nil, or use its TLS port"
	case errors.As(err, &certificate):
		return "check RootCAs and ServerName in Config.TLS against the server's certificate"
	case errors.As(err, &alert) && alert.Op == "remote error", strings.HasPrefix(err.Error(), "tls: "):
		return "check Certificates, RootCAs and the versions in Config.TLS against what the server accepts"
	case strings.HasPrefix(err.Error(), "redis: can't parse"), strings.HasPrefix(err.Error(), "redis: invalid reply"):
		return "what answers there does not speak Redis's protocol: if it speaks TLS, set Config.TLS"
	}
	return ""
}

// misfit returns an error if the server at addr is not one that cfg means. It accepts a
// server that does not report its kind. A connection to such a server is never used.
func misfit(cfg Config, addr string, who primary.Peer) error {
	if r, refused := refusal.Of(who.Refused); refused && (r.Words == "WRONGPASS" || r.Words == "NOAUTH" || r.Words == "DENIED") {
		return explain(who.Refused, cfg)
	}
	cluster := cfg.Cluster || len(cfg.Addrs) > 1 && cfg.MasterName == ""
	advice := ""
	switch {
	case who.Mode == "sentinel":
		advice = "the server is a Sentinel: set Config.MasterName"
	case who.Mode == "cluster" && !cluster:
		advice = "the server is a Cluster's: set Config.Cluster"
	case cfg.NoEviction:
		advice = refusesToEvict(addr, who.Info["maxmemory_policy"])
	}
	if advice == "" {
		return nil
	}
	return &refusal.Misfit{Advice: advice}
}

// haveReplicas refuses nodes that take writes with fewer than least replicas.
func haveReplicas(ctx context.Context, rdb redis.UniversalClient, least int64) error {
	health, err := Check(ctx, rdb)
	if err != nil {
		return err
	}
	for _, node := range health.Nodes {
		if advice := needsReplicas(node, least); advice != "" {
			return &refusal.Misfit{Advice: advice}
		}
	}
	return nil
}

// refusesToEvict returns what to do about a server with a maxmemory-policy if it may evict
// keys, else "".
func refusesToEvict(addr, policy string) string {
	switch policy {
	case "noeviction":
		return ""
	case "":
		return fmt.Sprintf("Config.NoEviction: %s does not report its maxmemory-policy: grant the user +info", addr)
	}
	return fmt.Sprintf("Config.NoEviction: %s has the maxmemory-policy %s: set it to noeviction, or use another instance for what must not vanish", addr, policy)
}

// needsReplicas returns what to do about a node that takes writes with fewer than least
// replicas, else "".
func needsReplicas(node NodeHealth, least int64) string {
	required, known := node.MinReplicas.Get()
	_, some := node.GoodReplicas.Get() // some are required, if not told how many
	switch {
	case known && required < least:
		return fmt.Sprintf("Config.MinReplicas: %s takes writes with %d replicas: set its min-replicas-to-write to %d, and its min-replicas-max-lag to 1 or more seconds", node.Addr, required, least)
	case known, some && least == 1:
		return ""
	case some:
		return fmt.Sprintf("Config.MinReplicas: %s does not report its min-replicas-to-write: grant the user +eval and +config|get", node.Addr)
	}
	return fmt.Sprintf("Config.MinReplicas: %s does not report its replication: grant the user +info", node.Addr)
}
