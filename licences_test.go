package rediskit_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// docs/licences.md names every module in go.mod, and no other one, with the licence in
// the files of that module. Only permissive licences have a name here.
func TestEveryDependencyIsListedWithItsPermissiveLicence(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("docs/licences.md")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"list", "-m", "-f", "{{.Path}} {{.Dir}}"}
	for _, line := range regexp.MustCompile(`(?m)^\t(\S+) v`).FindAllStringSubmatch(string(mod), -1) {
		args = append(args, line[1])
	}
	list, err := exec.CommandContext(t.Context(), "go", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range strings.Lines(string(list)) {
		path, dir, _ := strings.Cut(strings.TrimSpace(line), " ")
		files, _ := filepath.Glob(filepath.Join(dir, "LICEN[SC]E*"))
		if dir == "" || len(files) == 0 {
			t.Errorf("%s: no licence was found; run go mod download", path)
			continue
		}
		text, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		want++
		if row := "| " + path + " | " + licence(string(text)) + " |"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/licences.md lacks %q", row)
		}
	}
	if rows := strings.Count(string(doc), "\n| ") - 2; rows != want { // the table head
		t.Errorf("docs/licences.md has %d modules, go.mod %d", rows, want)
	}
}

// licence returns the name of a permissive licence from its text.
func licence(text string) string {
	has := func(words string) bool { return strings.Contains(strings.Join(strings.Fields(text), " "), words) }
	switch {
	case has("Apache License, Version 2.0"):
		return "Apache-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Redistribution and use in source and binary forms") && has("endorse or promote"):
		return "BSD-3-Clause"
	case has("Redistribution and use in source and binary forms"):
		return "BSD-2-Clause"
	}
	return "unknown"
}
