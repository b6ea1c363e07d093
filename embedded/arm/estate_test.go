package arm_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/arm/armtest"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/identity/resources"
	"frankenetes.dev/embedded/store"
)

// estate is a cloud with two resource groups. What is in theirs has the secret
// in its tags.
type estate struct {
	server    *arm.Server
	authority *identity.Authority
	secret    string
	owner     armtest.Token
	// me owns mine, and nobody has no role at all.
	me, nobody           identity.Principal
	myToken, nobodyToken armtest.Token
	// entered are the resource groups in which a handler was called.
	entered []string
}

func newEstate(f *testing.F) *estate {
	f.Helper()
	db, err := store.Open(filepath.Join(f.TempDir(), "cloud.db"))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { db.Close() })
	e := &estate{secret: uuid.NewString()}
	e.authority, err = identity.New(identity.Options{Store: db, Tenant: armtest.Tenant, Subscription: armtest.Subscription,
		Audiences: []string{"https://cloud"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		f.Fatal(err)
	}
	e.server = arm.New(arm.Options{Store: db, Verifier: e.authority, Subscription: armtest.Subscription, Tenant: armtest.Tenant,
		Location: armtest.Location, Log: slog.New(slog.DiscardHandler)})
	f.Cleanup(e.server.Close)
	resources.Register(e.server, e.authority)
	e.register()
	operator, err := e.authority.Operator()
	if err != nil {
		f.Fatal(err)
	}
	owner := identity.Principal{ClientID: operator.ClientID}
	for _, ra := range e.authority.RoleAssignments() {
		owner.ObjectID = ra.PrincipalID // the only one there is
	}
	e.owner = e.token(f, owner)
	e.me, e.nobody = e.principal(f, "me"), e.principal(f, "nobody")
	e.myToken, e.nobodyToken = e.token(f, e.me), e.token(f, e.nobody)
	tagged := `{"location":"local","tags":{"secret":"` + e.secret + `"}}`
	e.put(f, theirsID, tagged)
	e.put(f, theirIdentity, tagged)
	e.assign(f, theirsID, owner, e.secret)
	e.restore(f)
	return e
}

// restore makes again what its owner may have removed of mine.
func (e *estate) restore(t testing.TB) {
	t.Helper()
	status, answer, _ := e.ask(e.owner, "GET", mineID+version, "")
	if status != http.StatusOK || !strings.Contains(answer, `"Succeeded"`) {
		e.put(t, mineID, groupBody)
	}
	if !e.authority.Allowed(e.me, "Test.Provider/things/write", mineID) {
		e.assign(t, mineID, e.me, uuid.NewString())
	}
	e.entered = nil
}

// put makes something as the owner of all. What is being deleted cannot be made yet.
func (e *estate) put(t testing.TB, path, body string) {
	t.Helper()
	for {
		status, answer, _ := e.ask(e.owner, "PUT", path+version, body)
		switch status {
		case http.StatusOK, http.StatusCreated:
			return
		case http.StatusConflict:
			runtime.Gosched()
		default:
			t.Fatalf("PUT %s: %d %s", path, status, answer)
		}
	}
}

func (e *estate) assign(t testing.TB, scope string, to identity.Principal, name string) {
	t.Helper()
	_, err := e.authority.Assign(identity.RoleAssignment{Scope: scope, Name: name, Role: identity.Owner, PrincipalID: to.ObjectID, PrincipalType: "ServicePrincipal"})
	if err != nil {
		t.Fatal(err)
	}
}

func (e *estate) token(t testing.TB, p identity.Principal) armtest.Token {
	t.Helper()
	token, err := e.authority.Token(p, "https://cloud")
	if err != nil {
		t.Fatal(err)
	}
	return armtest.Token(token)
}

func (e *estate) principal(t testing.TB, name string) identity.Principal {
	t.Helper()
	p, _, err := e.authority.Register(name)
	if err != nil {
		t.Fatal(err)
	}
	return identity.Principal{ObjectID: p.ObjectID, ClientID: p.ClientID}
}

// The two groups. In their names is the letter that more than one has for its
// lower case.
const (
	mine, theirs     = "mine-k", "theirs-k"
	mineID, theirsID = base + "/resourceGroups/" + mine, base + "/resourceGroups/" + theirs
	theirIdentity    = theirsID + "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/one"
	groupBody        = `{"location":"local"}`
)

// register adds routes of every form that providers have.
func (e *estate) register() {
	const things = "Test.Provider/things"
	const all, one = "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + things, "/subscriptions/{sub}/resourceGroups/{rg}/providers/" + things + "/{name}"
	enter := func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		e.entered = append(e.entered, r.Var("rg"))
		return &arm.Response{Status: http.StatusOK, Body: r.Vars}, nil
	}
	for method, action := range map[string]string{"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"} {
		e.server.Handle(method, one, things+"/"+action, enter)
	}
	e.server.Handle("POST", one+"/start", things+"/start/action", enter)
	e.server.Handle("GET", one+"/containers/{c}/logs", things+"/containers/logs/read", enter)
	e.server.Handle("POST", one+"/containers/{c}/exec", things+"/containers/exec/action", enter)
	list := func(r *arm.Request, rgs ...string) (*arm.Response, error) {
		list := arm.List[arm.Resource]{Value: []arm.Resource{}}
		for _, rg := range rgs {
			id := base + "/resourceGroups/" + rg + "/providers/" + things + "/" + rg
			if e.server.Allowed(r.Principal, things+"/read", id) {
				list.Value = append(list.Value, arm.Resource{ID: id, Name: rg, Type: things, Tags: e.tags(rg)})
			}
		}
		return &arm.Response{Status: http.StatusOK, Body: list}, nil
	}
	e.server.Handle("GET", all, things+"/read", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		return list(r, strings.ToLower(r.Var("rg")))
	})
	e.server.Handle("GET", "/subscriptions/{sub}/providers/"+things, "", func(_ context.Context, r *arm.Request) (*arm.Response, error) {
		return list(r, mine, theirs)
	})
}

// tags are those of what is in a group.
func (e *estate) tags(rg string) map[string]string {
	if rg == theirs {
		return map[string]string{"secret": e.secret}
	}
	return nil
}

// ask sends a request as it comes over the wire. What is no HTTP is not sent.
func (e *estate) ask(as armtest.Token, method, target, body string) (status int, answer string, sent *http.Request) {
	var wire strings.Builder
	fmt.Fprintf(&wire, "%s %s HTTP/1.1\r\nHost: cloud\r\nContent-Length: %d\r\n", method, target, len(body))
	if as != "" {
		fmt.Fprintf(&wire, "Authorization: Bearer %s\r\n", as)
	}
	wire.WriteString("\r\n" + body)
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire.String())))
	if err != nil {
		return 0, "", nil
	}
	w := httptest.NewRecorder()
	e.server.ServeHTTP(w, r)
	return w.Code, w.Body.String(), r
}

// judge says whether an answer was for who asked.
func (e *estate) judge(t *testing.T, as armtest.Token, r *http.Request, status int, answer string) {
	t.Helper()
	success := status < 300
	if as == "" && status != http.StatusUnauthorized && !strings.Contains(answer, `"loginEndpoint"`) {
		t.Errorf("without a token: %d %s", status, answer)
	}
	if as == e.nobodyToken && len(e.entered) > 0 {
		t.Errorf("nobody came into %v", e.entered)
	}
	for _, rg := range e.entered {
		if !strings.EqualFold(rg, mine) {
			t.Errorf("I came into %s", rg)
		}
	}
	if strings.Contains(answer, e.secret) {
		t.Errorf("what is in theirs was told: %s", answer)
	}
	// As a proxy, or who reads a log, would understand the path.
	if where := strings.ToLower(path.Clean("/" + strings.ReplaceAll(r.URL.Path, "\\", "/"))); success && identity.Within(where, theirsID) {
		t.Errorf("%s of %s is answered: %d %s", r.Method, where, status, answer)
	}
}

// unharmed wants theirs to be as it was, and no roles where there were none.
func (e *estate) unharmed(t *testing.T) {
	t.Helper()
	for _, path := range []string{theirsID, theirIdentity, theirsID + "/providers/Microsoft.Authorization/roleAssignments/" + e.secret} {
		if status, answer, _ := e.ask(e.owner, "GET", path+version, ""); status != http.StatusOK || !strings.Contains(answer, e.secret) {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	_, answer, _ := e.ask(e.owner, "GET", base+"/resourceGroups"+version, "")
	var list arm.List[arm.Resource]
	if err := json.Unmarshal([]byte(answer), &list); err != nil || len(list.Value) > 2 {
		t.Errorf("resource groups: %s", answer)
	}
	for _, action := range []string{"Test.Provider/things/read", "Test.Provider/things/write", "Microsoft.Authorization/roleAssignments/write"} {
		for _, scope := range []string{"/", base, theirsID, theirsID + thing} {
			if e.authority.Allowed(e.me, action, scope) {
				t.Errorf("I may do %s at %s", action, scope)
			}
		}
	}
	if e.authority.HasRole(e.nobody) {
		t.Error("nobody has a role")
	}
}
