package agent

import (
	"net/http"
	"sync"
)

// record is what the node has left here for a node that knows nothing of this
// group. It is in memory, where nobody else in the group gets at it.
type record struct {
	mu   sync.Mutex
	data []byte
}

func (k *record) put(w http.ResponseWriter, r *http.Request) {
	var data []byte
	err := readBody(w, r, &data)
	if err == nil {
		k.mu.Lock()
		k.data = data
		k.mu.Unlock()
	}
	answer(w, nil, err)
}

func (k *record) get(w http.ResponseWriter, _ *http.Request) {
	k.mu.Lock()
	data := k.data
	k.mu.Unlock()
	if data == nil {
		answer(w, nil, refuse(http.StatusNotFound, "nothing was left here"))
		return
	}
	answer(w, data, nil)
}
