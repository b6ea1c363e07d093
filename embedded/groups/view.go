package groups

import (
	"slices"
	"time"
)

// view returns the group as clients see it: without its secrets, and with its
// state unless it is one of a list.
func view(g *Group, s snapshot, isStopped, listed bool) *Group {
	v := *g
	v.Type = Type
	p := &v.Properties
	p.ProvisioningState = s.Provisioning
	p.Containers = viewContainers(p.Containers, s, listed)
	p.InitContainers = viewContainers(p.InitContainers, s, listed)
	p.Volumes = hideVolumes(p.Volumes)
	p.ImageRegistryCredentials = slices.Clone(p.ImageRegistryCredentials)
	for i := range p.ImageRegistryCredentials {
		p.ImageRegistryCredentials[i].Password = ""
	}
	if p.IPAddress != nil {
		address := *p.IPAddress
		address.IP = s.IP
		p.IPAddress = &address
	}
	p.Diagnostics = p.Diagnostics.withoutSecrets()
	p.InstanceView = nil
	if !listed {
		p.InstanceView = &GroupView{Events: orEmpty(s.Events), State: groupState(g, s)}
		if isStopped {
			p.InstanceView.State = stopped
		}
	}
	return &v
}

func viewContainers(containers []Container, s snapshot, listed bool) []Container {
	views := make([]Container, 0, len(containers))
	for _, c := range containers {
		c.Properties.EnvironmentVariables = slices.Clone(c.Properties.EnvironmentVariables)
		for i := range c.Properties.EnvironmentVariables {
			c.Properties.EnvironmentVariables[i].SecureValue = nil
		}
		if p, ok := s.Containers[c.Name]; ok && !listed {
			current := p.Current
			c.Properties.InstanceView = &ContainerView{RestartCount: p.Restarts, CurrentState: &current,
				PreviousState: p.Previous, Events: orEmpty(p.Events)}
		}
		views = append(views, c)
	}
	return views
}

// hideVolumes takes out account keys and the values of secrets.
func hideVolumes(volumes []Volume) []Volume {
	hidden := slices.Clone(volumes)
	for i := range hidden {
		if hidden[i].AzureFile != nil {
			file := *hidden[i].AzureFile
			file.StorageAccountKey = ""
			hidden[i].AzureFile = &file
		}
		if hidden[i].GitRepo != nil {
			repo := *hidden[i].GitRepo
			repo.Repository = withoutPassword(repo.Repository)
			hidden[i].GitRepo = &repo
		}
		if hidden[i].Secret != nil {
			hidden[i].Secret = map[string]string{}
		}
	}
	return hidden
}

// withoutSecrets leaves out the workspace's key, and its ARM id, which the API
// counts as a secret too.
func (d *Diagnostics) withoutSecrets() *Diagnostics {
	if d == nil || d.LogAnalytics == nil {
		return d
	}
	workspace := *d.LogAnalytics
	workspace.WorkspaceKey, workspace.WorkspaceResourceID = "", ""
	return &Diagnostics{LogAnalytics: &workspace}
}

func orEmpty(events []Event) []Event {
	if events == nil {
		return []Event{}
	}
	return events
}

// ended describes a run that is over.
func ended(started, finished time.Time, exitCode int32, reason string) ContainerState {
	detail := "Error"
	switch {
	case reason == "OOMKilled":
		detail = reason
	case exitCode == 0:
		detail = "Completed"
	}
	s := ContainerState{State: terminated, ExitCode: &exitCode, DetailStatus: detail}
	if !started.IsZero() {
		s.StartTime = &started
	}
	if !finished.IsZero() {
		if finished.Before(started) { // the runtime notes the start of a short run after its end
			finished = started
		}
		s.FinishTime = &finished
	}
	return s
}
