package cloudtest

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	aci "github.com/Azure/azure-sdk-for-go/sdk/resourcemanager/containerinstance/armcontainerinstance/v2"

	"frankenetes.dev/cloud"
	"frankenetes.dev/test/machine"
)

// differs says in what a group, nil where there is none, is not as a state has
// it; nothing when it is.
func (m *member) differs(g *cloud.Group, s state) string {
	if g == nil || !s.exists {
		if (g != nil) != s.exists {
			return fmt.Sprintf("it exists: %v", g != nil)
		}
		return ""
	}
	if version := *g.Properties.Containers[0].Properties.EnvironmentVariables[1].Value; version != strconv.Itoa(s.version) {
		return fmt.Sprintf("version %s instead of %d", version, s.version)
	}
	if tag := *g.Tags["tag"]; tag != strconv.Itoa(s.tag) {
		return fmt.Sprintf("tag %s instead of %d", tag, s.tag)
	}
	want := m.wants(s)
	if got := stateOf(g); got != want {
		return fmt.Sprintf("it is %s instead of %s", got, want)
	}
	if want != "Running" {
		return ""
	}
	if g.Properties.IPAddress != nil && addressOf(g) == "" {
		return "it has no address"
	}
	main := g.Properties.Containers[0].Properties.InstanceView
	switch {
	case m.crashes || s.unsure:
		if int(*main.RestartCount) < s.restarts {
			return fmt.Sprintf("it was restarted %d times, less than %d", *main.RestartCount, s.restarts)
		}
	case *main.CurrentState.State != "Running" || int(*main.RestartCount) != s.restarts:
		return fmt.Sprintf("its container is %s and was restarted %d times instead of %d", *main.CurrentState.State, *main.RestartCount, s.restarts)
	}
	return ""
}

// wants is the state of the group's instance view.
func (m *member) wants(s state) string {
	switch {
	case s.stopped:
		return "Stopped"
	case m.ends && m.policy == never:
		return "Failed"
	case m.ends:
		return "Succeeded"
	}
	return "Running"
}

// verify expects that a group comes to be what was acknowledged or, if
// something was asked for and not answered, what that makes of it, and nothing
// in between.
func (f *fleet) verify(m *member) {
	may := []state{m.now}
	if m.asked != nil {
		may = append(may, *m.asked)
	}
	var wrong []string
	for end := time.Now().Add(machine.Patience); ; time.Sleep(50 * time.Millisecond) {
		g, err := f.look(f.ctx(), m)
		if err != nil {
			f.failf(m, "%v", err)
			return
		}
		wrong = wrong[:0]
		for _, s := range may {
			if d := m.differs(g, s); d != "" {
				wrong = append(wrong, d)
				continue
			}
			f.found(m, s, g)
			return
		}
		if time.Now().After(end) {
			f.failf(m, "%s\n%s", strings.Join(wrong, ", nor is what was asked last done: "), show(g))
			return
		}
	}
}

// found takes note of what a group is, and looks closer.
func (f *fleet) found(m *member, s state, g *cloud.Group) {
	untouched := m.asked == nil && m.settled
	if !untouched {
		m.cuts++
		s.cuts++
	}
	if s.unsure && m.runs() && !m.crashes {
		s.restarts, s.unsure = int(*view(g, "main").RestartCount), false
		s.fresh = s.restarts
	}
	m.now, m.asked, m.settled = s, nil, true
	if !s.exists {
		return
	}
	if now := addressOf(g); untouched && now != m.address {
		f.failf(m, "its address was %q and is %q", m.address, now)
	}
	m.address = addressOf(g)
	if m.check != nil && !s.stopped {
		m.check(f, m, g)
	}
}

// remember notes which processes the members have that are at rest.
func (f *fleet) remember() {
	for _, m := range f.members {
		m.processes = nil
		if m.asked == nil && m.settled && m.runs() && !m.crashes {
			m.processes = f.running(m)
			if len(m.processes) != 1 {
				f.failf(m, "it should run, and has %d processes", len(m.processes))
			}
		}
	}
}

// sameProcesses expects those of remember.
func (f *fleet) sameProcesses() {
	for _, m := range f.members {
		now := f.running(m)
		for _, before := range m.processes {
			if !slices.ContainsFunc(now, before.Same) {
				f.failf(m, "process %d is gone; now there are %d", before.PID, len(now))
			}
		}
	}
}

// checkCounter expects every number from 1 on, once. It goes on counting.
func checkCounter(f *fleet, m *member, _ *cloud.Group) {
	read := func() []string { return strings.Split(strings.TrimSpace(f.log(m)), "\n") }
	before := read()
	lines := before
	for end := time.Now().Add(machine.Patience); len(lines) < len(before)+5 && time.Now().Before(end); lines = read() {
		time.Sleep(50 * time.Millisecond)
	}
	if len(lines) < len(before)+5 {
		f.failf(m, "it counts no further than %d", len(lines))
	}
	for i, line := range lines {
		if want := fmt.Sprintf("%d %d", m.now.version, i+1); line != want {
			f.failf(m, "line %d of its log is %q, want %q, after %q", i+1, line, want, lines[max(0, i-3):i])
			return
		}
	}
}

// log returns what the member's last run has printed.
func (f *fleet) log(m *member) string {
	text, err := f.conn.Logs(f.ctx(), resourceGroup, m.name, "main", 0)
	if err != nil {
		f.failf(m, "%v", err)
	}
	return text
}

// onShare reads the lines of a file on the share from outside.
func (f *fleet) onShare(name string) []string {
	return f.lines(filepath.Join("shares", "*", fleetShare, name))
}

// inScratch reads the lines of a file in the directory of the member.
func (f *fleet) inScratch(m *member, name string) []string {
	return f.lines(filepath.Join("volumes", "*", m.scratch(), name))
}

// lines reads all lines of the files of a pattern below the data directory.
func (f *fleet) lines(pattern string) []string {
	paths, err := filepath.Glob(filepath.Join(f.Home, pattern))
	if err != nil {
		f.T.Error(err)
	}
	var all []string
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err == nil && len(data) > 0 { // it may go at any moment
			all = append(all, strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")...)
		}
	}
	return all
}

// checkShare expects that every run has written all its numbers, and that the
// last one goes on.
func checkShare(f *fleet, m *member, _ *cloud.Group) {
	before := len(f.onShare("lines"))
	var lines []string
	for end := time.Now().Add(machine.Patience); len(lines) < before+3 && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		lines = f.onShare("lines")
	}
	if len(lines) < before+3 {
		f.failf(m, "it writes nothing to the share any more")
	}
	count := map[string]int{}
	for _, line := range lines {
		run, number, _ := strings.Cut(line, " ")
		count[run]++
		if number != strconv.Itoa(count[run]) {
			f.failf(m, "line %q on the share is number %d of its run", line, count[run])
			return
		}
	}
}

// checkRuns expects a line in the directory for each run since it was made.
func checkRuns(f *fleet, m *member, _ *cloud.Group) { f.expectLines(m, "runs") }

func (f *fleet) expectLines(m *member, name string) {
	want := m.now.restarts - m.now.fresh + 1
	var lines []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if lines = f.inScratch(m, name); len(lines) >= want { // it writes a moment after it runs
			break
		}
	}
	if len(lines) < want || len(lines) > want+m.now.cuts {
		f.failf(m, "%d lines in %s, want %d, or up to %d more", len(lines), name, want, m.now.cuts)
	}
}

// checkInits expects that the init container has run once before each run.
func checkInits(f *fleet, m *member, g *cloud.Group) {
	f.expectLines(m, "runs")
	f.expectLines(m, "inits")
	if s := g.Properties.InitContainers[0].Properties.InstanceView.CurrentState; *s.State != "Terminated" || *s.ExitCode != 0 {
		f.failf(m, "its init container is %s", *s.State)
	}
}

// checkWeb asks the server by its published port, its address and its name.
func checkWeb(f *fleet, m *member, g *cloud.Group) {
	f.expectVersion(m, fmt.Sprintf("127.0.0.1:%d", f.port))
	f.expectVersion(m, m.address+":8080")
	f.eventuallySays(m, *g.Properties.IPAddress.Fqdn, strconv.Itoa(m.now.version), func() (string, error) {
		out, err := f.conn.Exec(f.ctx(), resourceGroup, "client", "client", "/ask")
		return strings.TrimSpace(out), err
	})
}

// checkPrivate asks the server at its address in the virtual network.
func checkPrivate(f *fleet, m *member, _ *cloud.Group) {
	if a, err := netip.ParseAddr(m.address); err != nil || !f.fleetNetwork().Range.Contains(a) {
		f.failf(m, "its address is %q", m.address)
	}
	f.expectVersion(m, m.address+":8080")
}

// expectVersion asks a member's web server.
func (f *fleet) expectVersion(m *member, at string) {
	f.eventuallySays(m, at, strconv.Itoa(m.now.version), func() (string, error) {
		answer, err := http.Get("http://" + at + "/version")
		if err != nil {
			return "", err
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		return strings.TrimSpace(string(body)), err
	})
}

func (f *fleet) eventuallySays(m *member, who, want string, ask func() (string, error)) {
	var said string
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if said, err = ask(); err == nil && said == want {
			return
		}
	}
	f.failf(m, "%s says %q, %v; want %q", who, said, err, want)
}

// checkPair expects that the container that has ended stays so.
func checkPair(f *fleet, m *member, g *cloud.Group) {
	f.eventuallySays(m, "the short one", "Terminated 3", func() (string, error) {
		got, err := f.look(f.ctx(), m)
		if err != nil || got == nil {
			return "", err
		}
		said, _, _ := strings.Cut(said(view(got, "short")), ",") // it restarts with the group
		return said, nil
	})
}

// said is what an instance view says of how its container has ended.
func said(v *aci.ContainerPropertiesInstanceView) string {
	if v.CurrentState.ExitCode == nil {
		return *v.CurrentState.State
	}
	return fmt.Sprintf("%s %d, %d restarts", *v.CurrentState.State, *v.CurrentState.ExitCode, *v.RestartCount)
}

// checkCrashes expects as many runs as there were restarts, and one. It goes on
// crashing while it is looked at.
func checkCrashes(f *fleet, m *member, before *cloud.Group) {
	runs := len(f.inScratch(m, "runs"))
	after, err := f.look(f.ctx(), m)
	if err != nil {
		f.failf(m, "%v", err)
		return
	}
	least, most := int(*view(before, "main").RestartCount)-m.now.fresh, int(*view(after, "main").RestartCount)-m.now.fresh+1
	if !m.now.lost && (runs < least || runs > most+m.now.cuts) {
		f.failf(m, "%d runs, want from %d to %d", runs, least, most+m.now.cuts)
	}
	codes := []int32{5, 137}
	if m.blind {
		codes = append(codes, 255)
	}
	if p := view(after, "main").PreviousState; p != nil && p.ExitCode != nil && !slices.Contains(codes, *p.ExitCode) {
		f.failf(m, "its last run ended with %d", *p.ExitCode)
	}
}

// checkJob expects that it has run once for each deployment, no more.
func checkJob(f *fleet, m *member, g *cloud.Group) {
	if got := said(view(g, "main")); got != "Terminated 7, 0 restarts" {
		f.failf(m, "it is %s", got)
	}
	if got, want := f.log(m), fmt.Sprintf("job %d\n", m.now.version); got != want {
		f.failf(m, "its log is %q, want %q", got, want)
	}
	if runs := len(f.onShare("jobs")); runs < m.now.deployments || runs > m.now.deployments+m.cuts {
		f.failf(m, "it ran %d times in %d deployments, want as many, or up to %d more", runs, m.now.deployments, m.cuts)
	}
}

// checkAgain expects that it failed once and then went well. A first run that
// was cut short has been the one that failed.
func checkAgain(f *fleet, m *member, g *cloud.Group) {
	if m.now.cuts > 0 && said(view(g, "main")) == "Terminated 0, 0 restarts" {
		return
	}
	if got := said(view(g, "main")); got != "Terminated 0, 1 restarts" {
		f.failf(m, "it is %s", got)
	}
	if p := view(g, "main").PreviousState; p == nil || p.ExitCode == nil || *p.ExitCode != 3 {
		f.failf(m, "its first run is not known to have ended with 3")
	}
	if got := f.log(m); got != "try 2\n" {
		f.failf(m, "its log is %q", got)
	}
}
