package rediskit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/convkit/rediskit/internal/refusal"
)

const module = "github.com/convkit/rediskit"

var (
	features = []string{"cache", "lock", "pubsub", "ratelimit", "session"}

	// roots import no package of the module.
	roots = []string{"internal/attach", "internal/redact", "internal/refusal", "secrets"}

	// leaves import no package of the module but roots.
	leaves = []string{
		"internal/breaker", "internal/hashcodec", "internal/jsoncodec", "internal/keys",
		"internal/life", "internal/report", "internal/wall",
	}

	// senders call go-redis's methods that send: for the commands of all packages, for
	// the breaker's hooks, for connections of their own, and in test support.
	senders = []string{
		"internal/attach", "internal/sender", "internal/breaker", "internal/subscriber", "internal/tracking",
		"internal/redistest",
	}
	sending = []string{"Process", "Pipeline", "TxPipeline", "Pipelined", "TxPipelined", "Eval", "EvalSha"}

	saysDefault = regexp.MustCompile(`Defaults to |Required\b`)
	saysUnit    = regexp.MustCompile(`number of|how many|bytes`)
	saysRange   = regexp.MustCompile(`(?i)\bat least\b|\bfrom \d|not shorter than`)
)

// mayLog reports whether a file may import log/slog: a Secret redacts itself there, a Log
// is made of a slog.Logger, and Ready must not wait in silence for ever.
func mayLog(dir, file string) bool {
	return dir == "secrets" || dir == "." && slices.Contains([]string{"log.go", "ready.go"}, filepath.Base(file))
}

// The rules of CONTRIBUTING.md that a program can check, over all code but tests.
func TestTheCodeFollowsItsConventions(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	for dir, files := range packages(t, fset) {
		t.Run(dir, func(t *testing.T) {
			if !slices.ContainsFunc(files, func(file *ast.File) bool { return file.Doc != nil }) {
				t.Error("the package has no comment")
			}
			for _, file := range files {
				wrong := func(node ast.Node, what string) { t.Errorf("%v: %s", fset.Position(node.Pos()), what) }
				for _, spec := range file.Imports {
					if imported, ours := inModule(spec); ours && !mayImport(dir, imported) {
						wrong(spec, dir+" must not import "+imported)
					}
					if name := spec.Path.Value; name == `"log"` || name == `"log/slog"` && !mayLog(dir, fset.Position(spec.Pos()).Filename) {
						wrong(spec, "the library does not log unasked; OnError receives errors")
					}
				}
				ast.Inspect(file, func(node ast.Node) bool {
					switch node := node.(type) {
					case *ast.TypeSpec:
						for _, field := range fieldsOfConfig(dir, node) {
							for _, missing := range missingIn(field) {
								wrong(field, "the field's comment does not say "+missing)
							}
						}
					case *ast.BasicLit:
						// Advice on a refusal is explain.go's own.
						words, _ := strconv.Unquote(node.Value)
						r, refused := refusal.Of(refusedWith(words))
						if refused && dir != "internal/refusal" && path.Base(fset.Position(node.Pos()).Filename) != "explain.go" {
							wrong(node, "internal/refusal says what "+r.Words+" means")
						}
					case *ast.CallExpr:
						if method, ok := node.Fun.(*ast.SelectorExpr); ok && slices.Contains(sending, method.Sel.Name) &&
							!slices.Contains(senders, dir) {
							wrong(method.Sel, method.Sel.Name+" sends; commands go through internal/sender")
						}
					}
					return true
				})
			}
		})
	}
}

// packages returns the files of each directory of this module, without tests.
func packages(t *testing.T, fset *token.FileSet) map[string][]*ast.File {
	found := map[string][]*ast.File{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != ".":
			_, err := os.Stat(filepath.Join(name, "go.mod"))
			if err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" {
				return filepath.SkipDir // another module, or no package
			}
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"):
			file, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			dir := path.Dir(filepath.ToSlash(name))
			found[dir] = append(found[dir], file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range slices.Concat(features, leaves, senders, roots, []string{"."}) {
		if found[dir] == nil {
			t.Errorf("no package is in %s; found %q", dir, slices.Sorted(maps.Keys(found)))
		}
	}
	return found
}

// refusedWith is an error reply.
type refusedWith string

func (r refusedWith) Error() string { return string(r) }
func (refusedWith) RedisError()     {}

// inModule returns the directory of an imported package, if it is of this module.
func inModule(spec *ast.ImportSpec) (dir string, ours bool) {
	name, _ := strconv.Unquote(spec.Path.Value)
	if name == module {
		return ".", true
	}
	return strings.CutPrefix(name, module+"/")
}

// mayImport reports whether the package in dir may import the one in imported.
func mayImport(dir, imported string) bool {
	isFeature := slices.Contains(features, imported) || imported == "metrics"
	switch {
	case slices.Contains(roots, dir):
		return false
	case slices.Contains(leaves, dir):
		return slices.Contains(roots, imported) && imported != "secrets"
	case strings.HasPrefix(dir, "internal/"):
		return !isFeature && imported != "."
	case dir == ".", slices.Contains(features, dir):
		return !isFeature
	}
	return true
}

// fieldsOfConfig returns the exported fields of a public configuration type.
func fieldsOfConfig(dir string, spec *ast.TypeSpec) (fields []*ast.Field) {
	name := spec.Name.Name
	structure, ok := spec.Type.(*ast.StructType)
	isConfig := strings.HasSuffix(name, "Config") || slices.Contains([]string{"Local", "Verify", "Replicas", "History"}, name)
	if !ok || !isConfig || !spec.Name.IsExported() || strings.HasPrefix(dir, "internal/") {
		return nil
	}
	for _, field := range structure.Fields.List {
		if slices.ContainsFunc(field.Names, (*ast.Ident).IsExported) {
			fields = append(fields, field)
		}
	}
	return fields
}

// missingIn returns what the comment of a configuration field must say and does not. An
// integer needs its unit. A duration has one, and a fraction has none.
func missingIn(field *ast.Field) (missing []string) {
	comment := strings.Join(strings.Fields(field.Doc.Text()), " ")
	require := func(says *regexp.Regexp, what string) {
		if !says.MatchString(comment) {
			missing = append(missing, what)
		}
	}
	require(saysDefault, `"Required" or "Defaults to"`)
	switch types.ExprString(field.Type) {
	case "int", "int64":
		require(saysUnit, "what the number counts")
	case "float64", "time.Duration":
		require(saysRange, "which values are allowed")
	}
	return missing
}
