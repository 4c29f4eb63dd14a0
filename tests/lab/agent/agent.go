// AppCenter's agent for the lab: what confd does with conf.d/*.toml and templates, in confd's own syntax, which is Go's
// text/template. It long-polls the metadata server, renders what a template's file lists, and runs reload_cmd when a file
// changed; a reload that fails is not repeated until the file changes again. With -state it says what it has done
// (report.go).
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/user"
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
	report   report
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

func read(file string) (resource, error) {
	var found struct{ Template resource }
	_, err := toml.DecodeFile(file, &found)
	r := &found.Template
	r.name = filepath.Base(file)
	if err == nil && (r.Src == "" || r.Dest == "") {
		err = errors.New("src and dest are required")
	}
	if err == nil && r.UID == nil && r.Owner != "" {
		r.UID, err = id(user.Lookup(r.Owner))
	}
	if err == nil && r.GID == nil && r.Group != "" {
		var group *user.Group
		if group, err = user.LookupGroup(r.Group); err == nil {
			r.GID, err = id(&user.User{Uid: group.Gid}, nil)
		}
	}
	return *r, err
}

func id(found *user.User, err error) (*int, error) {
	if err != nil {
		return nil, err
	}
	number, err := strconv.Atoi(found.Uid)
	return &number, err
}

// text is what the template in the file source becomes.
func text(source string, known store) ([]byte, error) {
	parsed, err := template.New(filepath.Base(source)).Funcs(functions(known)).ParseFiles(source)
	if err != nil {
		return nil, err
	}
	var made bytes.Buffer
	err = parsed.Execute(&made, nil)
	return made.Bytes(), err
}

// printed renders one template to standard output, over metadata in a file as `GET /self` answers it.
func printed(source, metadata string) error {
	var tree map[string]interface{}
	read, err := os.ReadFile(metadata)
	if err == nil {
		err = json.Unmarshal(read, &tree)
	}
	if err != nil {
		return err
	}
	known := store{}
	if self, below := tree["self"]; below {
		known.flatten("", self)
	} else {
		known.flatten("", tree)
	}
	made, err := text(source, known)
	if err == nil {
		_, err = os.Stdout.Write(made)
	}
	return err
}

// render makes the file of r from what is known; true when it is another one than before.
func (a *agent) render(r resource, known store) (bool, error) {
	made, err := text(filepath.Join(a.dir, "templates", r.Src), known.below(r.Prefix))
	if err != nil {
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
	if same(r, made, mode) {
		return false, nil
	}
	return true, a.replace(r, made, mode)
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
	if _, err := os.Stat(filepath.Dir(r.Dest)); errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("dest %s: there is no %s, which the app's image has to bring: confd does not make it", r.Dest,
			filepath.Dir(r.Dest))
	}
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
		return fmt.Errorf("%s %q: %w: %s", what, line.String(), err, bytes.TrimSpace(output))
	}
	return nil
}

// apply renders the file of r, and reloads when it is another one.
func (a *agent) apply(r resource, known store) error {
	changed, err := a.render(r, known)
	if err != nil {
		a.report.failed(a.version, r, err)
		return err
	}
	if !changed {
		return nil
	}
	log.Printf("%s: %s has changed", r.name, r.Dest)
	if r.ReloadCmd == "" {
		return nil
	}
	a.report.begins(a.version, r)
	err = run("reload_cmd", r.ReloadCmd, map[string]string{"src": r.Src, "dest": r.Dest})
	a.report.ended(err)
	return err
}

// process renders all files; the number of those that failed.
func (a *agent) process(known store) int {
	files, err := filepath.Glob(filepath.Join(a.dir, "conf.d", "*.toml"))
	if err != nil {
		log.Fatal(err)
	}
	sort.Strings(files)
	failed := 0
	for _, file := range files {
		r, err := read(file)
		if err != nil {
			a.report.failed(a.version, r, err)
		} else {
			err = a.apply(r, known)
		}
		if err != nil {
			log.Printf("%s: %v", r.name, err)
			failed++
		}
	}
	a.report.processed(a.version)
	return failed
}

func (a *agent) watch() {
	for wait := false; ; {
		known, err := a.fetch(wait)
		waited := wait
		wait = err == nil // after a failure the server may be another one, or count anew
		if wait {
			a.process(known)
			continue
		}
		if waited && os.IsTimeout(err) {
			continue // nothing has changed for that long, or the connection is lost: all is fetched
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
	state := flag.String("state", "", "file that says what was done, for the lab")
	metadata := flag.String("metadata", "", "file of metadata: print what the template in the argument becomes of it")
	flag.Parse()
	log.SetFlags(0)
	if *metadata != "" {
		if err := printed(flag.Arg(0), *metadata); err != nil {
			log.Fatal(err)
		}
		return
	}
	a := agent{dir: *dir, settings: settings{Prefix: *prefix}, client: http.Client{Timeout: 90 * time.Second},
		report: report{path: *state}}
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
