package main

import (
	"context"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"frankenetes.dev/images"
)

// The registries of the images' names.
const (
	registry = "registry.k8s.io"
	tests    = registry + "/e2e-test-images"
)

// sources are what the images are made of.
type sources struct {
	ctx context.Context
	// bin and programs have the programs that the build made, kubernetes the
	// suite's sources.
	bin, programs, kubernetes string
	busybox                   string
	applets                   []string
	debian                    apt
}

// all returns the images that conformance tests use, with the names and tags
// that test/utils/image/manifest.go of Kubernetes v1.36.3 has.
func (s sources) all() ([]images.Image, error) {
	busybox := map[string]string{}
	for _, name := range s.applets {
		busybox["usr/bin/"+name] = "busybox"
	}
	tools, err := s.debian.layer(s.ctx, busybox, "base-files", "base-passwd", "bash", "bind9-dnsutils", "curl", "iproute2", "libc-bin", "netcat-openbsd")
	if err != nil {
		return nil, err
	}
	glibc, err := s.debian.layer(s.ctx, nil, "base-files", "base-passwd", "bash", "bind9-dnsutils", "coreutils", "dash", "grep", "hostname", "libc-bin", "sed")
	if err != nil {
		return nil, err
	}
	nginx, err := s.debian.layer(s.ctx, nil, "base-files", "base-passwd", "dash", "libc-bin", "nginx")
	if err != nil {
		return nil, err
	}
	return []images.Image{
		s.agnhost("agnhost:2.63.0", tools),
		s.agnhost("agnhost:2.55", tools),
		s.pets("nautilus", tools),
		// Upstream's is of Alpine Linux, and a test looks for these words in
		// /etc/os-release. This one is of Debian and says so.
		s.pets("kitten", tools),
		s.shell(),
		{
			Ref: tests + "/glibc-dns-testing:2.0.0", Below: []v1.Layer{glibc}, Env: environment(),
			Entries: []images.Entry{{Path: "usr/bin/sh", Link: "dash"}}, Cmd: []string{"bash"},
		},
		{
			Ref: tests + "/nginx:1.15-4", Below: []v1.Layer{nginx}, Env: environment(),
			Entries: []images.Entry{
				{Path: "usr/bin/sh", Link: "dash"},
				{Path: "etc/nginx/sites-enabled/default", Link: "/etc/nginx/sites-available/default"},
			},
			Cmd: []string{"nginx", "-g", "daemon off;"},
		},
		s.single(registry+"/pause:3.10.2", filepath.Join(s.bin, "pause"), "pause"),
		s.single(tests+"/sample-apiserver:1.29.2", filepath.Join(s.programs, "sample-apiserver"), "sample-apiserver"),
		{
			Ref: tests + "/nonewprivs:1.4", Env: environment(), Cmd: []string{"nnp"},
			Entries: append(images.Base(), images.Entry{
				Path: "usr/local/bin/nnp", Source: filepath.Join(s.programs, "nnp"), Mode: os.ModeSetuid | 0o755}),
		},
		{
			Ref: registry + "/etcd:3.6.8-0", Env: environment(),
			Entries: append(images.Base(), images.Entry{
				Path: "usr/local/bin/etcd", Source: filepath.Join(s.programs, "etcd"), Mode: 0o755}),
		},
	}, nil
}

// environment is that of every image.
func environment() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
}

// single is an image of one static program.
func (s sources) single(ref, program, name string) images.Image {
	return images.Image{
		Ref:        ref,
		Entries:    append(images.Base(), images.Entry{Path: name, Source: program, Mode: 0o755}),
		Entrypoint: []string{"/" + name},
		Env:        environment(),
	}
}

// shell is the image of busybox alone.
func (s sources) shell() images.Image {
	i := images.Image{Ref: tests + "/busybox:1.37.0-1", Entries: images.Base(), Env: environment(), Cmd: []string{"sh"}}
	for _, dir := range []string{"home", "usr/bin", "var"} {
		i.Entries = append(i.Entries, images.Entry{Path: dir, Mode: os.ModeDir | 0o755})
	}
	i.Entries = append(i.Entries, images.Entry{Path: "bin/busybox", Source: s.busybox, Mode: 0o755})
	for _, name := range s.applets {
		i.Entries = append(i.Entries, images.Entry{Path: "bin/" + name, Link: "busybox"})
	}
	return i
}

// agnhost is the image that most tests use. Its shell is busybox's, as
// upstream's is, and so is what no package of Debian's in it has.
func (s sources) agnhost(name string, tools v1.Layer) images.Image {
	porter := filepath.Join(s.kubernetes, "test/images/agnhost/porter")
	return images.Image{
		Ref: tests + "/" + name, Below: []v1.Layer{tools}, Env: environment(),
		Entrypoint: []string{"/agnhost"}, Cmd: []string{"pause"},
		Entries: []images.Entry{
			{Path: "agnhost", Source: filepath.Join(s.bin, "agnhost"), Mode: 0o755},
			{Path: "agnhost-2", Link: "agnhost"},
			{Path: "localhost.crt", Source: filepath.Join(porter, "localhost.crt"), Mode: 0o644},
			{Path: "localhost.key", Source: filepath.Join(porter, "localhost.key"), Mode: 0o644},
			{Path: "uploads", Mode: os.ModeDir | 0o755},
			{Path: "etc/passwd", Mode: 0o644, Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n" +
				"user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh\n"},
			{Path: "etc/group", Mode: 0o644, Content: "root:x:0:\nnogroup:x:65534:\n" +
				"user-defined-in-image:x:1000:\ngroup-defined-in-image:x:50000:user-defined-in-image\n"},
			{Path: "usr/bin/busybox", Source: s.busybox, Mode: 0o755},
			{Path: "usr/bin/nc", Link: "nc.openbsd"},
		},
	}
}

// pets is agnhost with a page of its own.
func (s sources) pets(name string, tools v1.Layer) images.Image {
	i := s.agnhost(name+":1.8", tools)
	html := filepath.Join(s.kubernetes, "test/images", name, "html")
	i.Cmd = []string{"test-webserver"}
	for _, file := range []string{"data.json", name + ".jpg"} {
		i.Entries = append(i.Entries, images.Entry{Path: file, Source: filepath.Join(html, file), Mode: 0o644})
	}
	return i
}
