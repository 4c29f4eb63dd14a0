package main

import (
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// entry is one resource that was reloaded, or that failed: what `lab set` waits for and `lab events` shows.
type entry struct {
	Version  int64  `json:"version"` // of the metadata, from the server's X-Metad-Version
	Resource string `json:"resource"`
	Command  string `json:"command"`  // reload_cmd as it is in the file; "" where it failed before
	Began    int64  `json:"began_ns"` // since 1970
	Ended    int64  `json:"ended_ns"` // 0: it runs
	Status   int    `json:"status"`   // the command's exit status, 1 where there is none
	Error    string `json:"error"`
}

const keptEntries = 50

// report is the agent's state for whoever waits for it: a file that is replaced at each step.
type report struct {
	path    string
	Version int64   `json:"version"` // processed last
	Entries []entry `json:"entries"`
}

func versionOf(text string) int64 {
	number, _ := strconv.ParseInt(text, 10, 64)
	return number
}

func (r *report) save() {
	if r.path == "" {
		return
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = os.WriteFile(r.path+".new", text, 0600)
	}
	if err == nil {
		err = os.Rename(r.path+".new", r.path)
	}
	if err != nil {
		log.Print(err)
	}
}

func (r *report) add(e entry) {
	r.Entries = append(r.Entries, e)
	if len(r.Entries) > keptEntries {
		r.Entries = r.Entries[1:]
	}
}

func (r *report) begins(version string, of resource) {
	r.add(entry{Version: versionOf(version), Resource: of.name, Command: of.ReloadCmd, Began: time.Now().UnixNano()})
	r.save()
}

func (r *report) ended(err error) {
	last := &r.Entries[len(r.Entries)-1]
	last.Ended = time.Now().UnixNano()
	if err == nil {
		return
	}
	last.Status, last.Error = 1, err.Error()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		last.Status = exit.ExitCode()
	}
}

// failed is for what failed before a command ran.
func (r *report) failed(version string, of resource, err error) {
	now := time.Now().UnixNano()
	r.add(entry{Version: versionOf(version), Resource: of.name, Began: now, Ended: now, Status: 1, Error: err.Error()})
}

func (r *report) processed(version string) {
	r.Version = versionOf(version)
	r.save()
}
