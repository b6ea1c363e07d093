package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	// counter is the key that several writers add to.
	counter = "counter"
	// singles write keys of their own, adders the counter. More adders would
	// take the checker longer than the test.
	singles, adders = 6, 2
	// opTime is how long a writer waits for an answer.
	opTime = time.Second
)

// writers write until they are stopped.
type writers struct {
	world   *world
	history history
	work    sync.WaitGroup
	stop    context.CancelFunc
}

func startWriters(w *world, seed uint64) *writers {
	ctx, stop := context.WithCancel(context.Background())
	all := &writers{world: w, stop: stop}
	for i := range singles + adders {
		random := rand.New(rand.NewPCG(seed, uint64(i)+1))
		all.work.Go(func() {
			if i < singles {
				all.write(ctx, i, random)
			} else {
				all.add(ctx, i, random)
			}
		})
	}
	return all
}

// end stops them and returns what they did.
func (a *writers) end() []operation {
	a.stop()
	a.work.Wait()
	return a.history.copy()
}

// somebody is a group that may answer: the newest most of the time.
func (a *writers) somebody(random *rand.Rand) *clientv3.Client {
	groups := a.world.recent()
	if len(groups) == 0 {
		return nil
	}
	if random.IntN(4) > 0 {
		return groups[len(groups)-1].etcd
	}
	return groups[random.IntN(len(groups))].etcd
}

// ask makes a request and records it with its outcome.
func (a *writers) ask(ctx context.Context, o operation, request func(context.Context) (revision int64, refusedBecause error, err error)) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	o.call = time.Now()
	revision, no, err := request(ctx)
	o.back = time.Now()
	switch {
	case no != nil || neverSent(err):
		o.outcome = refused
	case err == nil:
		o.outcome, o.revision = done, revision
	}
	a.history.add(o)
}

// neverSent reports whether a request has not been done for certain.
func neverSent(err error) bool {
	return errors.Is(err, rpctypes.ErrNoSpace) || errors.Is(err, rpctypes.ErrTooManyRequests)
}

// write writes a key of its own, whose value grows, and another key that it
// deletes at once, with a lease at times.
func (a *writers) write(ctx context.Context, writer int, random *rand.Rand) {
	for n := 1; ctx.Err() == nil; n++ {
		etcd := a.somebody(random)
		if etcd == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		put := func(key string, options ...clientv3.OpOption) {
			a.ask(ctx, operation{writer: writer, kind: "put", key: key, value: n}, func(ctx context.Context) (int64, error, error) {
				r, err := etcd.Put(ctx, key, fmt.Sprint(n), options...)
				if err != nil {
					return 0, nil, err
				}
				return r.Header.Revision, nil, nil
			})
		}
		put(fmt.Sprintf("writer-%d", writer))
		if random.IntN(4) > 0 {
			continue
		}
		once := fmt.Sprintf("once-%d-%d", writer, n)
		put(once)
		a.ask(ctx, operation{writer: writer, kind: "delete", key: once}, func(ctx context.Context) (int64, error, error) {
			r, err := etcd.Delete(ctx, once)
			if err != nil {
				return 0, nil, err
			}
			return r.Header.Revision, nil, nil
		})
	}
}

var errConflict = errors.New("somebody was faster")

// add adds to the counter, if it is what it was when it was read.
func (a *writers) add(ctx context.Context, writer int, random *rand.Rand) {
	for ctx.Err() == nil {
		etcd := a.somebody(random)
		if etcd == nil {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		value, modified, ok := a.count(ctx, writer, etcd)
		if !ok {
			continue
		}
		a.ask(ctx, operation{writer: writer, kind: "add", key: counter, value: value}, func(ctx context.Context) (int64, error, error) {
			r, err := etcd.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(counter), "=", modified)).
				Then(clientv3.OpPut(counter, fmt.Sprint(value+1))).Commit()
			if err != nil {
				return 0, nil, err
			}
			if !r.Succeeded {
				return 0, errConflict, nil
			}
			return r.Header.Revision, nil, nil
		})
		time.Sleep(time.Duration(random.IntN(20)) * time.Millisecond)
	}
}

// count reads the counter.
func (a *writers) count(ctx context.Context, writer int, etcd *clientv3.Client) (value int, modified int64, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, opTime)
	defer cancel()
	o := operation{writer: writer, kind: "read", key: counter, call: time.Now()}
	r, err := etcd.Get(ctx, counter)
	o.back = time.Now()
	if err != nil {
		return 0, 0, false
	}
	if len(r.Kvs) > 0 {
		_, err = fmt.Sscan(string(r.Kvs[0].Value), &value)
		modified = r.Kvs[0].ModRevision
	}
	if err != nil {
		return 0, 0, false
	}
	o.value, o.outcome, o.revision = value, done, r.Header.Revision
	a.history.add(o)
	return value, modified, true
}
