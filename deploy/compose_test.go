package deploy

import (
	"context"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
)

// load reads Compose files as `docker compose -f` does. A warning fails the test.
func load(t testing.TB, files ...string) *types.Project {
	t.Helper()
	options, err := cli.NewProjectOptions(files, cli.WithProfiles([]string{"*"}), cli.WithWorkingDirectory("."))
	if err != nil {
		t.Fatal(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return project
}

func TestTheComposeFilesLoad(t *testing.T) {
	load(t, "compose.yaml")
	load(t, "compose.yaml", "compose.laptop.yaml")
}
