// AppCenter's agent for the lab: what confd does with conf.d/*.toml and templates, in confd's own syntax, which is Go's
// text/template. It long-polls the metadata server, renders what a template's file lists, and runs reload_cmd when a file
// changed; a reload that fails is not repeated until the file changes again.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"

	"github.com/BurntSushi/toml"
)

// One file of conf.d: https://github.com/kelseyhightower/confd/blob/master/docs/template-resources.md
type resource struct {
	Src       string
	Dest      string
	Mode      string
	Owner     string
	Group     string
	UID       *int
	GID       *int
	Prefix    string
	Keys      []string
	CheckCmd  string `toml:"check_cmd"`
	ReloadCmd string `toml:"reload_cmd"`
	name      string
}

// confd.toml, as far as the agent's way of asking depends on it.
type settings struct {
	Nodes  []string
	Prefix string
}

type agent struct {
	dir      string
	settings settings
	client   http.Client
	node     int
	version  string
}

// fetch answers with the metadata below the prefix; with wait only after the version that was read last.
func (a *agent) fetch(wait bool) (store, error) {
	query := ""
	if wait && a.version != "" {
		query = "?wait=true&prev_version=" + url.QueryEscape(a.version)
	}
	var last error
	for range a.settings.Nodes {
		node := a.settings.Nodes[a.node%len(a.settings.Nodes)]
		found, err := a.ask(strings.TrimRight(node, "/") + a.settings.Prefix + query)
		if err == nil {
			return found, nil
		}
		last = err
		a.node++
		query = "" // another server counts its own versions
	}
	return nil, last
}

func (a *agent) ask(address string) (store, error) {
	request, err := http.NewRequest("GET", address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	answer, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: HTTP %d", address, answer.StatusCode)
	}
	var tree interface{}
	if err := json.Unmarshal(body, &tree); err != nil {
		return nil, fmt.Errorf("GET %s: %v", address, err)
	}
	a.version = answer.Header.Get("X-Metad-Version")
	found := store{}
	found.flatten("", tree)
	return found, nil
}

func (a *agent) resources() ([]resource, error) {
	files, err := filepath.Glob(filepath.Join(a.dir, "conf.d", "*.toml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(files)
	var all []resource
	for _, file := range files {
		var read struct{ Template resource }
		if _, err := toml.DecodeFile(file, &read); err != nil {
			return nil, fmt.Errorf("%s: %v", file, err)
		}
		read.Template.name = filepath.Base(file)
		if read.Template.Src == "" || read.Template.Dest == "" {
			return nil, fmt.Errorf("%s: src and dest are required", file)
		}
		all = append(all, read.Template)
	}
	return all, nil
}

// render makes the file of r from what is known; true when it is another one than before.
func (a *agent) render(r resource, known store) (bool, error) {
	source := filepath.Join(a.dir, "templates", r.Src)
	parsed, err := template.New(filepath.Base(source)).Funcs(functions(known.below(r.Prefix))).ParseFiles(source)
	if err != nil {
		return false, err
	}
	var text bytes.Buffer
	if err := parsed.Execute(&text, nil); err != nil {
		return false, err
	}
	mode := os.FileMode(0644)
	if old, err := os.Stat(r.Dest); err == nil {
		mode = old.Mode().Perm()
	}
	if r.Mode != "" {
		bits, err := strconv.ParseUint(r.Mode, 8, 32)
		if err != nil {
			return false, fmt.Errorf("mode %q: %v", r.Mode, err)
		}
		mode = os.FileMode(bits).Perm()
	}
	if same(r, text.Bytes(), mode) {
		return false, nil
	}
	return true, a.replace(r, text.Bytes(), mode)
}

func same(r resource, text []byte, mode os.FileMode) bool {
	now, err := os.Stat(r.Dest)
	if err != nil || now.Mode().Perm() != mode {
		return false
	}
	owner := now.Sys().(*syscall.Stat_t)
	if (r.UID != nil && int(owner.Uid) != *r.UID) || (r.GID != nil && int(owner.Gid) != *r.GID) {
		return false
	}
	old, err := os.ReadFile(r.Dest)
	return err == nil && bytes.Equal(old, text)
}

// replace puts text in the place of the file once check_cmd, which sees it as {{.src}}, has accepted it.
func (a *agent) replace(r resource, text []byte, mode os.FileMode) error {
	stage, err := os.CreateTemp(filepath.Dir(r.Dest), "."+filepath.Base(r.Dest))
	if err != nil {
		return err
	}
	defer os.Remove(stage.Name())
	if _, err = stage.Write(text); err == nil {
		err = stage.Chmod(mode)
	}
	if closed := stage.Close(); err == nil {
		err = closed
	}
	uid, gid := -1, -1
	if r.UID != nil {
		uid = *r.UID
	}
	if r.GID != nil {
		gid = *r.GID
	}
	if err == nil && (uid >= 0 || gid >= 0) {
		err = os.Chown(stage.Name(), uid, gid)
	}
	if err == nil && r.CheckCmd != "" {
		err = run("check_cmd", r.CheckCmd, map[string]string{"src": stage.Name()})
	}
	if err != nil {
		return err
	}
	return os.Rename(stage.Name(), r.Dest)
}

func run(what, command string, values map[string]string) error {
	parsed, err := template.New(what).Parse(command)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := parsed.Execute(&line, values); err != nil {
		return err
	}
	if output, err := exec.Command("/bin/sh", "-c", line.String()).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %v: %s", what, line.String(), err, bytes.TrimSpace(output))
	}
	return nil
}

// process renders all files; the number of those that failed.
func (a *agent) process(known store) int {
	all, err := a.resources()
	if err != nil {
		log.Print(err)
		return 1
	}
	failed := 0
	for _, r := range all {
		changed, err := a.render(r, known)
		if err == nil && changed {
			log.Printf("%s: %s has changed", r.name, r.Dest)
			if r.ReloadCmd != "" {
				err = run("reload_cmd", r.ReloadCmd, map[string]string{"src": r.Src, "dest": r.Dest})
			}
		}
		if err != nil {
			log.Printf("%s: %v", r.name, err)
			failed++
		}
	}
	return failed
}

func (a *agent) watch() {
	for wait := false; ; {
		known, err := a.fetch(wait)
		wait = err == nil // after a failure the server may be another one, or count anew
		if wait {
			a.process(known)
			continue
		}
		log.Print(err)
		time.Sleep(time.Second) // no server answers: nothing tells when one will
	}
}

func main() {
	dir := flag.String("confdir", "/etc/confd", "directory with confd.toml, conf.d and templates")
	node := flag.String("node", "", "metadata server, instead of the nodes in confd.toml")
	prefix := flag.String("prefix", "/self", "what the keys of the templates are below")
	once := flag.Bool("onetime", false, "render once and end; the status is 1 when a file failed")
	flag.Parse()
	log.SetFlags(0)
	a := agent{dir: *dir, settings: settings{Prefix: *prefix}, client: http.Client{Timeout: 90 * time.Second}}
	if _, err := toml.DecodeFile(filepath.Join(*dir, "confd.toml"), &a.settings); err != nil && !os.IsNotExist(err) {
		log.Fatalf("confd.toml: %v", err)
	}
	if *node != "" {
		a.settings.Nodes = []string{*node}
	}
	if len(a.settings.Nodes) == 0 {
		a.settings.Nodes = []string{"http://metadata"}
	}
	if !*once {
		a.watch()
	}
	known, err := a.fetch(false)
	if err != nil {
		log.Fatal(err)
	}
	if a.process(known) > 0 {
		os.Exit(1)
	}
}
