// Renders a template of AppCenter's agent (confd) with Go's own text/template and the functions of the agent that ours
// use, over metadata as `GET /self` answers it: confd.go TEMPLATE METADATA
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"sort"
	"strings"
	"text/template"
)

type pair struct{ Key, Value string }

func flatten(at string, node interface{}, leaves map[string]string) {
	switch node := node.(type) {
	case map[string]interface{}:
		for key, child := range node {
			flatten(at+"/"+key, child, leaves)
		}
	case string:
		leaves[at] = node
	}
}

func run(name, metadata string) error {
	leaves := map[string]string{}
	var tree map[string]interface{}
	text, err := os.ReadFile(metadata)
	if err == nil {
		err = json.Unmarshal(text, &tree)
	}
	if err != nil {
		return err
	}
	if self, ok := tree["self"]; ok {
		tree = self.(map[string]interface{})
	}
	flatten("", tree, leaves)

	parsed, err := template.New(path.Base(name)).Funcs(template.FuncMap{
		"split":  strings.Split,
		"exists": func(key string) bool { _, ok := leaves[key]; return ok },
		"getv": func(key string) (string, error) {
			if value, ok := leaves[key]; ok {
				return value, nil
			}
			return "", fmt.Errorf("no such key: %s", key)
		},
		"gets": func(pattern string) ([]pair, error) {
			found := []pair{}
			for key, value := range leaves {
				match, err := path.Match(pattern, key)
				if err != nil {
					return nil, err
				}
				if match {
					found = append(found, pair{key, value})
				}
			}
			sort.Slice(found, func(i, j int) bool { return found[i].Key < found[j].Key })
			return found, nil
		},
	}).ParseFiles(name)
	if err != nil {
		return err
	}
	return parsed.Execute(os.Stdout, nil)
}

func main() {
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
