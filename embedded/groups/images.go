package groups

import (
	"path"
	"slices"
)

// Images returns the images that groups use, by the names that they have for
// them, each with the names of those groups.
func (s *Service) Images() map[string][]string {
	users := map[string][]string{}
	for _, g := range s.list("") {
		g.mu.Lock()
		images := g.record.Group.imageUsers()
		g.mu.Unlock()
		for image := range images {
			users[image] = append(users[image], path.Base(g.key))
		}
	}
	for _, groups := range users {
		slices.Sort(groups)
	}
	return users
}
