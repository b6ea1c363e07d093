package images

import (
	"os"
	"path/filepath"
)

// Registry is the host part of our images' references: the registry that the
// embedded cloud serves from its own store.
const Registry = "frankenetes.internal"

// components are the names under which hyperkube is found in its image.
var components = []string{
	"etcd", "etcdutl", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
	"kube-proxy", "kubectl", "virtual-kubelet",
}

// All returns the images that are made of the binaries in bin. kubernetes is
// the version that tags hyperkube, such as "v1.36.3"; busybox is the path of a
// static busybox.
func All(bin, kubernetes, busybox string) []Image {
	return []Image{
		hyperkube(bin, kubernetes),
		single("pause:1", filepath.Join(bin, "pause"), "pause"),
		single("agent:latest", filepath.Join(bin, "agent"), "agent"),
		single("hello:latest", filepath.Join(bin, "hello"), "hello"),
		single("agnhost:latest", filepath.Join(bin, "agnhost"), "agnhost"),
		test(bin, busybox),
	}
}

func hyperkube(bin, version string) Image {
	i := Image{
		Ref: Registry + "/hyperkube:" + version,
		Entries: append(Base(),
			Entry{Path: "usr/local/bin/hyperkube", Source: filepath.Join(bin, "hyperkube"), Mode: 0o755},
			Entry{Path: "usr/local/bin/await", Source: filepath.Join(bin, "await"), Mode: 0o755},
			Entry{Path: "usr/local/bin/etcd-launcher", Source: filepath.Join(bin, "etcd-launcher"), Mode: 0o755},
			Entry{Path: "usr/local/bin/stop", Link: "etcd-launcher"},
			Entry{Path: "usr/local/bin/snapshot", Link: "etcd-launcher"}),
		Env: []string{"PATH=/usr/local/bin"},
	}
	for _, name := range components {
		i.Entries = append(i.Entries, Entry{Path: "usr/local/bin/" + name, Link: "hyperkube"})
	}
	return i
}

// single is an image of one program, at its root.
func single(ref, binary, name string) Image {
	return Image{
		Ref:        Registry + "/" + ref,
		Entries:    append(Base(), Entry{Path: name, Source: binary, Mode: 0o755}),
		Entrypoint: []string{"/" + name},
		Env:        []string{"PATH=/"},
	}
}

// test is an image with a shell, for the end-to-end tests and for looking
// around in a pod.
func test(bin, busybox string) Image {
	i := Image{
		Ref: Registry + "/test:latest",
		Entries: append(Base(),
			Entry{Path: "bin/busybox", Source: busybox, Mode: 0o755},
			Entry{Path: "agnhost", Source: filepath.Join(bin, "agnhost"), Mode: 0o755}),
		Cmd: []string{"sh"},
		Env: []string{"PATH=/bin:/"},
	}
	for _, name := range applets {
		i.Entries = append(i.Entries, Entry{Path: "bin/" + name, Link: "busybox"})
	}
	return i
}

// Base are the files that programs expect everywhere.
func Base() []Entry {
	return []Entry{
		{Path: "tmp", Mode: os.ModeDir | os.ModeSticky | 0o777},
		{Path: "etc/passwd", Content: "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n", Mode: 0o644},
		{Path: "etc/group", Content: "root:x:0:\nnogroup:x:65534:\n", Mode: 0o644},
		{Path: "root", Mode: os.ModeDir | 0o700},
	}
}

// applets are the names by which the test image's busybox is called.
var applets = []string{
	"ash", "basename", "cat", "chgrp", "chmod", "chown", "cp", "cut", "date", "dd", "df", "dirname", "du", "echo",
	"env", "expr", "false", "find", "grep", "gunzip", "gzip", "head", "hostname", "id", "ip", "kill", "ln", "ls",
	"md5sum", "mkdir", "mkfifo", "mktemp", "mount", "mv", "nc", "netstat", "nslookup", "od", "ping", "ps", "pwd",
	"readlink", "rm", "rmdir", "sed", "seq", "sh", "sha256sum", "sleep", "sort", "stat", "stty", "sync", "tail", "tar",
	"tee", "test", "time", "timeout", "top", "touch", "tr", "true", "tty", "umount", "uname", "uniq", "unshare", "vi",
	"wc", "wget", "which", "whoami", "xargs", "yes",
}
