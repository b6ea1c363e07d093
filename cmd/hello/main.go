// Command hello is a tiny web server that says which pod it runs in. It is the
// first thing a user runs on a new cluster, and what the end-to-end tests run.
//
//	hello            serve on $PORT (default 8080) until SIGTERM
//	hello version    print the version
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is linked in by the build.
var version = "dev"

func main() {
	if len(os.Args) > 1 {
		if os.Args[1] != "version" {
			fmt.Fprintf(os.Stderr, "hello: unknown argument %q; run it without any, or with: version\n", os.Args[1])
			os.Exit(2)
		}
		fmt.Println("hello", version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := serve(ctx, ":"+env("PORT", "8080")); err != nil {
		log.Fatalf("hello: %v", err)
	}
}

func serve(ctx context.Context, addr string) error {
	name := env("HOSTNAME", "an unnamed pod")
	server := &http.Server{
		Addr:              addr,
		ReadHeaderTimeout: 10 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			log.Printf("%s %s from %s", r.Method, r.URL.Path, r.RemoteAddr)
			fmt.Fprintf(w, "Hello from %s\n", name)
		}),
	}
	done := make(chan error, 1)
	go func() { done <- server.ListenAndServe() }()
	log.Printf("hello %s: serving on %s as %s", version, addr, name)
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	bye, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	err := server.Shutdown(bye)
	if serveErr := <-done; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	log.Print("hello: bye")
	return err
}

func env(key, otherwise string) string {
	if v := os.Getenv(key); v != "" {
		return v
	}
	return otherwise
}
