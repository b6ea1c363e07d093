# Frankenetes: a Kubernetes cluster made of container groups.
# `make help` lists what there is to call.

SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VERSION    ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BIN        := bin
CLUSTER    ?= frankenetes
FUZZTIME   ?= 10s
SUDO       := $(if $(filter 0,$(shell id -u)),,sudo)
BUSYBOX    := /bin/busybox
GO         := go
export CGO_ENABLED := 0
export GOFLAGS := -buildvcs=false

# The version of a module that go.mod pins.
pinned = $(shell sed -n 's|^[[:space:]]*$(1) \(v[^ ]*\).*|\1|p' go.mod | head -n 1)
KUBERNETES := $(call pinned,k8s.io/kubernetes)
CONTAINERD := $(call pinned,github.com/containerd/containerd/v2)
RUNC       := $(call pinned,github.com/opencontainers/runc)
PLUGINS    := $(call pinned,github.com/containernetworking/plugins)
# Not in go.mod, which would have to follow it: see hack/metrics-server.
METRICS_SERVER := v0.9.0

kube_minor    = $(word 2,$(subst ., ,$(KUBERNETES)))
kube_version := $(foreach p,k8s.io/component-base/version k8s.io/client-go/pkg/version,\
	-X $(p).gitVersion=$(KUBERNETES) -X $(p).gitMajor=1 -X $(p).gitMinor=$(kube_minor) -X $(p).gitTreeState=clean)

# Our own sources, by what they go into. go.mod pins everything else.
sources = $(shell find $(1) -name '*.go' -not -name '*_test.go' 2>/dev/null)

# What runs Kubernetes' conformance suite, and what its images are made of.
SUITE := $(addprefix $(BIN)/conformance/,e2e.test ginkgo kubectl run)
UNDER := $(addprefix $(BIN)/conformance/,etcd sample-apiserver nnp)

OURS  := $(addprefix $(BIN)/,frankenetes hyperkube await etcd-launcher agent hello pause cni/frankenetes)
TOOLS := $(addprefix $(BIN)/,containerd containerd-shim-runc-v2 runc agnhost)
# By which a runtime that is not our cloud's has a network, in tests.
TEST_PLUGINS := $(addprefix $(BIN)/test/cni/,bridge host-local)

.PHONY: help
help: ## Show this list
	@echo 'make TARGET, one of:'; sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: up
up: build ## Build everything, start the embedded cloud, create the cluster
	$(SUDO) $(BIN)/frankenetes up $(CLUSTER)

.PHONY: build
build: $(OURS) $(TOOLS) $(BIN)/images/index.json ## Build all binaries and images into bin/

.PHONY: test
test: unit fuzz e2e ## Run all tests, end to end ones included (needs root)

.PHONY: unit
unit: deps ## Run the unit tests with the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 20m $(shell $(GO) list ./... | grep -v /test/) ./test/azurefiles

.PHONY: fuzz
fuzz: deps ## Run every fuzz target for FUZZTIME, 10s each
	@GO=$(GO) hack/fuzz $(FUZZTIME)

.PHONY: e2e
e2e: build suite $(TEST_PLUGINS) $(BIN)/test/metrics-server/metrics-server ## Run the end-to-end tests on real containers (needs root)
	@hack/azure-cli
	$(SUDO) env PATH="$$PATH" GOFLAGS=$(GOFLAGS) CGO_ENABLED=0 FRANKENETES_BIN=$(abspath $(BIN)) \
		$(GO) test -count=1 -p 1 -timeout 30m -v ./test/...

.PHONY: crash
crash: build ## Kill whatever runs container groups and etcd, and look for what was lost (needs root; SEED=, ROUNDS=)
	$(SUDO) env PATH="$$PATH" GOFLAGS=$(GOFLAGS) CGO_ENABLED=0 FRANKENETES_BIN=$(abspath $(BIN)) \
		FRANKENETES_SEED=$(SEED) FRANKENETES_ROUNDS=$(ROUNDS) \
		$(GO) test -count=1 -p 1 -timeout 60m -v -run '^Test(NothingAcknowledgedIsLost|Controls|Crash|FirstStartKilled)$$' ./test/durability ./test/cloud

.PHONY: test-smb
test-smb: build ## Compare the tests' Azure file share with a real SMB share (needs root, 1.5 GB and 15 minutes)
	@mkdir -p $(BIN)/smb
	CGO_ENABLED=0 $(GO) test -c -o $(BIN)/smb/azurefiles.test ./test/azurefiles
	$(SUDO) hack/smb $(BIN)/smb $(BIN) $(BIN)/smb/azurefiles.test
	$(SUDO) env PATH="$$PATH" GOFLAGS=$(GOFLAGS) CGO_ENABLED=0 FRANKENETES_SMB=$(abspath $(BIN))/smb/root \
		$(GO) test -count=1 -timeout 60m -v -run '^TestSMB' ./test/azurefiles

.PHONY: figures
figures: build ## Measure cloud and pods, write docs/figures.md (needs root, 15 minutes, a quiet machine)
	@rm -f $(BIN)/figures.md
	$(SUDO) env PATH="$$PATH" GOFLAGS=$(GOFLAGS) CGO_ENABLED=0 FRANKENETES_BIN=$(abspath $(BIN)) FRANKENETES_FIGURES=$(abspath $(BIN))/figures.md \
		$(GO) test -count=1 -p 1 -timeout 30m -v -run '^TestFigures$$' ./test/cloud ./test/e2e
	@cat test/figures.md $(BIN)/figures.md >docs/figures.md

.PHONY: conformance
conformance: build suite ## Run Kubernetes' conformance tests (needs root, hours; CLASS=, FOCUS=, PROCS=, AGAIN=)
	$(conformance) $(if $(AGAIN),-again)

.PHONY: conformance-report
conformance-report: build $(BIN)/conformance/run ## Write docs/conformance.md from the results that there are
	$(conformance) -report

conformance = $(SUDO) $(BIN)/conformance/run -bin $(abspath $(BIN)) -class '$(CLASS)' -focus '$(FOCUS)' \
	-procs $(or $(PROCS),4) $(if $(NODES),-nodes $(NODES)) $(if $(CONFORMANCE_HOME),-home $(CONFORMANCE_HOME))

.PHONY: conformance-short
conformance-short: build suite ## Run the few of them that CI runs (needs root)
	$(SUDO) env PATH="$$PATH" GOFLAGS=$(GOFLAGS) CGO_ENABLED=0 FRANKENETES_BIN=$(abspath $(BIN)) \
		$(GO) test -count=1 -timeout 30m -v -run '^TestShort$$' ./test/conformance

.PHONY: suite
suite: $(SUITE) $(BIN)/conformance/images/index.json

.PHONY: lint
lint: ## Check format, arrows between layers, vet and staticcheck
	@out="$$(gofmt -l $$(git ls-files '*.go'))"; [ -z "$$out" ] || { echo "not gofmt-ed:"; echo "$$out"; exit 1; }
	@hack/arrows
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN)

# What the build needs from the distribution: libseccomp for runc, a static
# busybox for the test image.
.PHONY: deps
deps:
	@hack/deps

$(BIN)/frankenetes: go.mod go.sum $(call sources,cmd/frankenetes cluster cloud embedded fault pki) | deps
	$(GO) build -o $@ -ldflags '-s -w -X main.version=$(VERSION) -X main.kubernetes=$(KUBERNETES)' ./cmd/frankenetes

$(BIN)/hyperkube: go.mod go.sum $(call sources,cmd/hyperkube node cloud fault pki agent/protocol) | deps
	$(GO) build -o $@ -ldflags '-s -w $(kube_version)' ./cmd/hyperkube

$(BIN)/agent: go.mod go.sum $(call sources,cmd/agent agent) | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w -X main.version=$(VERSION)' ./cmd/agent

$(BIN)/await: go.mod go.sum $(call sources,cmd/await) | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w' ./cmd/await

$(BIN)/etcd-launcher: go.mod go.sum $(call sources,cmd/etcd-launcher cluster cloud fault pki) | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w' ./cmd/etcd-launcher

$(BIN)/cni/frankenetes: go.mod go.sum $(call sources,cmd/join embedded/network/attach) | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w' ./cmd/join

$(BIN)/hello: go.mod go.sum $(call sources,cmd/hello) | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w -X main.version=$(VERSION)' ./cmd/hello

$(BIN)/pause: images/pause/pause.c | deps
	@mkdir -p $(@D)
	$(CC) -Os -Wall -Wextra -Werror -static -s -o $@ $<

# The programs of others change only when their pinned version does.
CONTAINERD_VERSION := -X github.com/containerd/containerd/v2/version.Version=$(CONTAINERD) \
	-X github.com/containerd/containerd/v2/version.Package=github.com/containerd/containerd/v2

$(BIN)/containerd $(BIN)/containerd-shim-runc-v2: go.mod go.sum | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w $(CONTAINERD_VERSION)' github.com/containerd/containerd/v2/cmd/$(@F)

$(BIN)/runc: go.mod go.sum | deps
	CGO_ENABLED=1 $(GO) build -o $@ -trimpath -tags 'seccomp netgo osusergo' \
		-ldflags "-s -w -X main.version=$(RUNC:v%=%) -extldflags '-static'" github.com/opencontainers/runc

$(BIN)/agnhost: go.mod go.sum | deps
	$(GO) build -o $@ -trimpath -ldflags '-s -w' k8s.io/kubernetes/test/images/agnhost

$(BIN)/test/cni/bridge: plugin := main/bridge
$(BIN)/test/cni/host-local: plugin := ipam/host-local
$(TEST_PLUGINS): go.mod | deps
	GOBIN=$(abspath $(@D)) $(GO) install -trimpath -ldflags '-s -w' github.com/containernetworking/plugins/plugins/$(plugin)@$(PLUGINS)
	@touch $@

$(BIN)/test/metrics-server/metrics-server: go.mod go.sum hack/metrics-server | deps
	hack/metrics-server $(METRICS_SERVER) $(@D)

$(BIN)/images/index.json: $(addprefix $(BIN)/,hyperkube await etcd-launcher agent hello pause agnhost) $(call sources,images cmd/images)
	$(GO) run ./cmd/images -bin $(BIN) -kubernetes $(KUBERNETES) -busybox $(BUSYBOX)

# The conformance suite. Built like hyperkube, it finds most of its packages in
# the build cache.
$(BIN)/conformance/e2e.test: go.mod go.sum | deps
	$(GO) test -c -o $@ -ldflags '-s -w $(kube_version)' k8s.io/kubernetes/test/e2e

$(BIN)/conformance/ginkgo: go.mod go.sum | deps
	$(GO) build -o $@ -ldflags '-s -w' github.com/onsi/ginkgo/v2/ginkgo

$(BIN)/conformance/run: go.mod go.sum $(call sources,test/conformance) $(wildcard test/conformance/*.json test/conformance/*.yaml test/conformance/*.tmpl)
	$(GO) build -o $@ ./test/conformance/run

$(BIN)/conformance/kubectl: $(BIN)/hyperkube
	@mkdir -p $(@D)
	ln -sf ../hyperkube $@

$(BIN)/conformance/etcd: go.mod go.sum | deps
	$(GO) build -o $@ -ldflags '-s -w' go.etcd.io/etcd/server/v3

$(BIN)/conformance/sample-apiserver: go.mod go.sum | deps
	$(GO) build -o $@ -ldflags '-s -w' k8s.io/sample-apiserver

$(BIN)/conformance/nnp: go.mod go.sum | deps
	$(GO) build -o $@ -ldflags '-s -w' k8s.io/kubernetes/test/images/nonewprivs

$(BIN)/conformance/images/index.json: $(addprefix $(BIN)/,agnhost pause) $(UNDER) $(call sources,images test/conformance/images)
	$(GO) run ./test/conformance/images -bin $(BIN) -kubernetes "$$($(GO) list -m -f '{{.Dir}}' k8s.io/kubernetes)"
