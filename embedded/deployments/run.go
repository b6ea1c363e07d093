package deployments

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"frankenetes.dev/embedded/arm"
)

// escaped is the target of a request about an ARM id.
func escaped(id, version string) string {
	return (&url.URL{Path: id}).EscapedPath() + "?api-version=" + url.QueryEscape(version)
}

// cloud asks the server as who sent the deployment.
type cloud struct {
	ctx    context.Context
	server *arm.Server
	by     *arm.Request
}

func (c cloud) read(id, version string) (map[string]any, error) {
	return c.object(http.MethodGet, escaped(id, version))
}

func (c cloud) list(function, id, version string) (any, error) {
	return c.object(http.MethodPost, escaped(id+"/"+function, version))
}

func (c cloud) object(method, target string) (map[string]any, error) {
	response, err := c.server.Call(c.ctx, c.by, method, target, nil)
	if err != nil {
		return nil, err
	}
	var v map[string]any
	if err := response.Into(&v); err != nil {
		return nil, err
	}
	object, _ := plain(numbered(v)).(map[string]any)
	return object, nil
}

// numbered turns whole numbers of plain JSON into those of expressions.
func numbered(v any) any {
	switch v := v.(type) {
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	case []any:
		for i, item := range v {
			v[i] = numbered(item)
		}
	case map[string]any:
		for key, item := range v {
			v[key] = numbered(item)
		}
	}
	return v
}

// whileLive is the scope with what is known while the deployment runs; it is
// for one goroutine.
func (s *scope) whileLive(l live) *scope {
	own := *s
	own.variables, own.asked, own.live = maps.Clone(s.variables), map[string]bool{}, l
	return &own
}

// deployment is one that runs.
type deployment struct {
	service  *Service
	key      string
	record   record
	template *template
	vars     *scope
	cloud    cloud
	began    time.Time
	// wanted ends with cancel.
	wanted context.Context
	cancel context.CancelFunc
	mu     sync.Mutex // guards record
}

// run makes the resources, side by side where they do not need each other,
// and notes how it went.
func (d *deployment) run(ctx context.Context) error {
	defer d.service.over(d)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(d.wanted, stop)()
	d.cloud.ctx = ctx
	ended := map[*planned]chan struct{}{}
	failures := map[*planned]error{}
	for _, p := range d.template.plan {
		ended[p] = make(chan struct{})
	}
	var wg sync.WaitGroup
	var mu sync.Mutex // guards failures
	for _, p := range d.template.plan {
		wg.Go(func() {
			defer close(ended[p])
			for _, need := range p.needs {
				<-ended[need]
				mu.Lock()
				gone := failures[need]
				mu.Unlock()
				if gone != nil {
					mu.Lock()
					failures[p] = errNotTried
					mu.Unlock()
					return
				}
			}
			if err := d.make(ctx, p); err != nil {
				mu.Lock()
				failures[p] = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return d.end(ctx, failures)
}

// errNotTried is why a resource is not made: one that it needs was not.
var errNotTried = errors.New("a resource that it needs was not made")

// make makes one resource and waits until it is there.
func (d *deployment) make(ctx context.Context, p *planned) error {
	began := time.Now()
	err := safely(func() error { return d.ask(ctx, p) })
	id := strings.ToUpper(strings.ReplaceAll(uuid.NewString(), "-", ""))[:16]
	op := operation{ID: d.record.ID + "/operations/" + id, OperationID: id, Properties: operationProperties{
		ProvisioningOperation: "Create", ProvisioningState: succeeded, StatusCode: "OK",
		Timestamp: time.Now().UTC(), Duration: duration(time.Since(began)), TargetResource: p.target(),
	}}
	if err != nil {
		told := explain(err)
		op.Properties.ProvisioningState, op.Properties.StatusCode = failed, strings.ReplaceAll(http.StatusText(told.Status), " ", "")
		op.Properties.StatusMessage = map[string]any{"error": told, "status": failed}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.record.Operations = append(d.record.Operations, op)
	return errors.Join(err, d.service.save(d.key, d.record))
}

// ask sends the request for a resource and waits for what it began.
func (d *deployment) ask(ctx context.Context, p *planned) error {
	body, err := p.evaluate(d.cloud)
	if err == nil {
		err = fit(body)
	}
	var refused *arm.Error
	switch {
	case errors.As(err, &refused):
		return err
	case err != nil:
		return invalid(err)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	response, err := d.service.server.Call(ctx, d.cloud.by, http.MethodPut, escaped(p.id, p.version), body)
	if err != nil {
		return err
	}
	return d.service.server.Await(ctx, response)
}

// evaluate returns what to send. A nested template whose expressions are its
// own stays as it is.
func (p *planned) evaluate(l live) (any, error) {
	vars := p.scope.whileLive(l)
	inner, own := p.innerTemplate()
	if !own {
		return vars.value(p.body)
	}
	properties, _ := p.body["properties"].(map[string]any)
	outside := maps.Clone(properties)
	delete(outside, "template")
	body := maps.Clone(p.body)
	body["properties"] = outside
	v, err := vars.value(body)
	if object, ok := v.(map[string]any); ok && err == nil {
		if properties, ok := object["properties"].(map[string]any); ok {
			properties["template"] = inner
		}
	}
	return v, err
}

// innerTemplate returns the template of a nested deployment that evaluates its
// expressions itself.
func (p *planned) innerTemplate() (any, bool) {
	if !strings.EqualFold(p.kind, resourceType) {
		return nil, false
	}
	var at any = p.body
	for _, name := range []string{"properties", "expressionEvaluationOptions", "scope"} {
		at, _ = element(at, name) // nil where there is none
	}
	if scope, ok := at.(string); !ok || !strings.EqualFold(scope, "inner") {
		return nil, false
	}
	properties, _ := p.body["properties"].(map[string]any)
	inner, ok := properties["template"]
	return inner, ok
}
