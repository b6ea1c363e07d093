package deployments

import (
	"time"

	"frankenetes.dev/embedded/arm"
)

// maxHistory is how many deployments a resource group keeps, as on Azure.
const maxHistory = 800

// makeRoom removes the oldest deployment that has ended, of a resource group
// that keeps as many as it can. It refuses where all of them run: templates in
// templates in copies would else begin more than a machine can hold. The caller
// holds mu.
func (s *Service) makeRoom(r *arm.Request) error {
	count, oldest, ended := 0, "", time.Time{}
	err := s.each(key(r.Var("sub"), r.Var("rg"), ""), func(key string, d record) error {
		count++
		if d.Properties.ProvisioningState != running && (oldest == "" || d.Properties.Timestamp.Before(ended)) {
			oldest, ended = key, d.Properties.Timestamp
		}
		return nil
	})
	switch {
	case err != nil || count < maxHistory:
		return err
	case oldest == "":
		return arm.Conflict("DeploymentQuotaExceeded", "Creating the deployment '%s' would exceed the quota of '%d'. "+
			"The current deployment count is '%d', please delete some deployments before creating a new one.", r.Var("name"), maxHistory, count)
	}
	return s.Store.Delete(kind, oldest)
}
