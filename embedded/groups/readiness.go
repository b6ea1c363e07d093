package groups

// The ports of a group are open at its address only while the containers that
// have a readiness probe are found to be ready.

// isReady reports whether the container was ready when last heard of.
func (w *worker) isReady() bool {
	ready := false
	w.update(func(p *progress) { ready = !p.Unready })
	return ready
}

// setReady notes whether the container is ready, and has its ports opened or closed.
func (w *worker) setReady(ready bool) {
	w.update(func(p *progress) { p.Unready = !ready })
	w.d.tellReadiness()
}

// began notes which run is the current one. One that was not known before is
// not ready yet, if that is to be asked.
func (w *worker) began(p *progress, id string) {
	if p.ID != id {
		p.ID, p.Unready = id, w.c.Properties.ReadinessProbe != nil
	}
	p.Attempt, p.Restarts = w.attempt, int32(w.attempt)
}

// tellReadiness passes on which containers are ready, of those that are asked.
func (d *deployment) tellReadiness() {
	if d.engine.expose == nil {
		return
	}
	d.telling.Lock() // so that the last word is the latest
	defer d.telling.Unlock()
	ready := map[string]bool{}
	state := d.status.snapshot()
	for _, c := range d.group.Properties.Containers {
		if c.Properties.ReadinessProbe != nil {
			ready[c.Name] = !state.Containers[c.Name].Unready
		}
	}
	if len(ready) > 0 {
		d.engine.expose(d.uid, ready)
	}
}
