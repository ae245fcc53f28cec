package rediskit_test

import (
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const promisesPage = "docs/promises.md"

var (
	sentenceEnd = regexp.MustCompile(`[.?]\)? [("]?\p{Lu}`)
	inBackticks = regexp.MustCompile("`([^`]+)`")
	saysNot     = regexp.MustCompile(`\bnot guarantee`)
)

// A promise is a row of the page: what is quoted, in parts, and what keeps it.
type promise struct {
	line          int
	part, heading string
	quotes        []string
	keepers       []string
}

// Each sentence under a heading of a public package's comment is on the page, with a test
// that keeps it. Of what is not guaranteed, each paragraph is there, and may have no test.
func TestEveryPromiseIsOnThePageWithTheTestThatKeepsIt(t *testing.T) {
	t.Parallel()
	exists, promises := keepers(t), readPromises(t)
	texts := map[string]string{} // by part and heading
	for _, part := range slices.Concat(features, []string{"rediskit", "metrics", "secrets"}) {
		for heading, sentences := range documented(t, part) {
			texts[part+heading] = strings.Join(sentences, " ")
			for _, sentence := range sentences {
				if !slices.ContainsFunc(promises, func(p promise) bool {
					return p.part == part && p.heading == heading && p.has(sentence)
				}) {
					t.Errorf("%s does not have, of %q in %s: %s", promisesPage, heading, part, sentence)
				}
			}
		}
	}
	for _, p := range promises {
		wrong := func(what, name string) { t.Errorf("%s:%d: %s %s", promisesPage, p.line, what, name) }
		text, ok := texts[p.part+p.heading]
		if !ok {
			page, err := os.ReadFile(p.part) // README.md and other pages
			if err != nil {
				wrong("there is no heading", p.heading)
				continue
			}
			text = strings.Join(strings.Fields(string(page)), " ")
		}
		for _, quote := range p.quotes {
			if !strings.Contains(text, quote) {
				wrong(p.part+" does not say", quote)
			}
		}
		if len(p.keepers) == 0 && !saysNot.MatchString(p.heading) {
			wrong("nothing keeps", strings.Join(p.quotes, " … "))
		}
		for _, name := range p.keepers {
			if !exists[name] && !exists[p.part+"."+name] {
				wrong("there is no", name)
			}
		}
	}
}

// has reports whether the promise quotes a sentence, or a part of it.
func (p promise) has(sentence string) bool {
	return slices.ContainsFunc(p.quotes, func(quote string) bool {
		return strings.Contains(quote, sentence) || strings.Contains(sentence, quote)
	})
}

// readPromises reads the tables of the page. "…" in a quotation stands for what it leaves out.
func readPromises(t *testing.T) (all []promise) {
	page, err := os.ReadFile(promisesPage)
	if err != nil {
		t.Fatal(err)
	}
	var part, heading string
	for i, line := range strings.Split(string(page), "\n") {
		cells := strings.Split(strings.ReplaceAll(line, `\|`, "\x00"), "|")
		if name, ok := strings.CutPrefix(line, "## "); ok {
			part, heading = name, ""
		} else if name, ok := strings.CutPrefix(line, "### "); ok {
			heading = name
		} else if len(cells) == 4 && cells[1] != "---" && cells[1] != " promise " {
			p := promise{line: i + 1, part: part, heading: heading}
			text := strings.ReplaceAll(strings.ReplaceAll(cells[1], "\x00", "|"), `\`, "")
			for quote := range strings.SplitSeq(text, "…") {
				if quote = strings.TrimSpace(quote); quote != "" {
					p.quotes = append(p.quotes, quote)
				}
			}
			for _, name := range inBackticks.FindAllStringSubmatch(cells[2], -1) {
				p.keepers = append(p.keepers, name[1])
			}
			all = append(all, p)
		}
	}
	return all
}

// documented returns what the comment of a package says under each of its headings: the
// sentences of its promises, and the paragraphs of what is not guaranteed.
func documented(t *testing.T, part string) map[string][]string {
	dir := part
	if part == "rediskit" {
		dir = "."
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, "doc.go"), nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found, heading := map[string][]string{}, ""
	add := func(paragraph *comment.Paragraph) {
		text := plain(paragraph.Text)
		for heading != "" && !saysNot.MatchString(heading) {
			end := sentenceEnd.FindStringIndex(text)
			if end == nil {
				break
			}
			first, rest, _ := strings.Cut(text[end[0]:], " ")
			found[heading] = append(found[heading], text[:end[0]]+first)
			text = rest
		}
		if heading != "" { // above the first heading is the introduction
			found[heading] = append(found[heading], text)
		}
	}
	for _, block := range new(comment.Parser).Parse(file.Doc.Text()).Content {
		switch block := block.(type) {
		case *comment.Heading:
			heading = plain(block.Text)
		case *comment.Paragraph:
			add(block)
		case *comment.List:
			for _, item := range block.Items {
				for _, inner := range item.Content {
					add(inner.(*comment.Paragraph))
				}
			}
		}
	}
	return found
}

// plain returns a text on one line, with links as their texts.
func plain(text []comment.Text) string {
	var all strings.Builder
	for _, t := range text {
		switch t := t.(type) {
		case comment.Plain:
			all.WriteString(string(t))
		case *comment.Link:
			all.WriteString(plain(t.Text))
		case *comment.DocLink:
			all.WriteString(plain(t.Text))
		}
	}
	return strings.Join(strings.Fields(all.String()), " ")
}

// keepers returns what the page may name: "dir.TestX" for the tests and examples of all
// modules, and "chaos: x" for the models of the fault suite.
func keepers(t *testing.T) map[string]bool {
	names := map[string]bool{}
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir := path.Dir(filepath.ToSlash(name))
		if dir == "." {
			dir = "rediskit"
		}
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				if node.Recv == nil {
					names[dir+"."+node.Name.Name] = true
				}
			case *ast.CompositeLit:
				if kind, ok := node.Type.(*ast.Ident); ok && kind.Name == "invariant" && dir == "examples/chaos" {
					if first, ok := node.Elts[0].(*ast.BasicLit); ok {
						model, _ := strconv.Unquote(first.Value)
						names["chaos: "+model] = true
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
