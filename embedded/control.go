package embedded

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"frankenetes.dev/cloud"
	"frankenetes.dev/embedded/arm"
	"frankenetes.dev/embedded/deployments"
	"frankenetes.dev/embedded/identity"
	"frankenetes.dev/embedded/identity/resources"
	"frankenetes.dev/embedded/images"
	"frankenetes.dev/embedded/network"
	"frankenetes.dev/embedded/storage"
	"frankenetes.dev/pki"
)

// audience is what tokens for this cloud are asked for: a name, so that it is
// the same for everyone wherever they reach it.
const audience = "https://" + managementName

// openControlPlane opens the parts that are only code and records.
func (d *daemon) openControlPlane() error {
	o, s := d.options, d.settings
	var err error
	d.authority, err = identity.New(identity.Options{
		Store: d.store, Tenant: s.Tenant, Subscription: s.Subscription, Log: o.Log,
		Audiences: []string{audience, d.url(loopback.String()), d.url("localhost"), d.url(managementName),
			"https://management.azure.com", "https://management.core.windows.net"},
	})
	if err != nil {
		return err
	}
	d.arm = arm.New(arm.Options{Store: d.store, Verifier: d.authority, Subscription: s.Subscription, Tenant: s.Tenant, Location: o.Location, Log: o.Log})
	resources.Register(d.arm, d.authority)
	if err := deployments.Register(d.arm, deployments.Options{Store: d.store, Tenant: s.Tenant, Log: o.Log}); err != nil {
		return err
	}
	if err := d.openNetworks(); err != nil {
		return err
	}
	d.storage = storage.New(storage.Options{
		Store: d.store, Dir: o.in("shares"), Access: d.authority, Log: o.Log,
		FilesURL: func(account, host string) string {
			if strings.HasPrefix(host, managementName) { // a container group asks
				return d.insideFiles() + "/" + account + "/"
			}
			return fmt.Sprintf("https://%s:%d/%s/", loopback, s.Ports.Files, account)
		},
	})
	d.storage.Register(d.arm)
	return nil
}

// insideFiles is the base URL of the file services for container groups. It is
// an address since the SDK looks for the account's name in the path of those
// only.
func (d *daemon) insideFiles() string {
	return fmt.Sprintf("https://%s:%d", network.ServiceAddress, d.settings.Ports.Files)
}

func (d *daemon) url(host string) string {
	return fmt.Sprintf("https://%s:%d", host, d.settings.Ports.Management)
}

// listen serves everything on loopback, for this host, and on the gateway,
// for groups. Metadata is for groups alone.
func (d *daemon) listen() error {
	gateway, p := network.Gateway(d.pool), d.settings.Ports
	names := []string{"localhost", domain, managementName, loginName, filesName, "*.file.localhost", "*.file." + domain}
	secure, err := certificate(d.settings, names, loopback, gateway, network.ServiceAddress)
	if err != nil {
		return err
	}
	d.servers = &servers{log: d.options.Log, tls: secure}
	store := d.runtime.Client()
	registry := &images.Registry{
		Host: domain, Images: store.ImageService(), Content: store.ContentStore(), Log: d.options.Log,
		Verify:    func(token string) error { _, err := d.authority.Verify(token); return err },
		Namespace: inNamespace,
	}
	front, files := d.front(), d.storage.FilesHandler()
	for _, addr := range []netip.Addr{loopback, gateway} {
		err := errors.Join(
			d.servers.serve(netip.AddrPortFrom(addr, p.Management), true, front),
			d.servers.serve(netip.AddrPortFrom(addr, p.Files), true, files),
			d.servers.serve(netip.AddrPortFrom(addr, p.Registry), true, registry),
		)
		if err != nil {
			return err
		}
	}
	return d.servers.serve(netip.AddrPortFrom(gateway, p.Metadata), false, d.authority.Metadata(d.groups.IdentitiesAt))
}

// writeConfig says how to reach the cloud, with the operator's credential: the
// one of the last time if it is still known, or a new one.
func (d *daemon) writeConfig() error {
	path := ConfigPath(d.options.Home)
	operator, err := d.authority.Operator()
	if err != nil {
		return err
	}
	last, err := cloud.Load(path)
	if operator.Secret == "" && err == nil && strings.EqualFold(last.Credential.ClientID, operator.ClientID) {
		operator.Secret = last.Credential.ClientSecret
	}
	if operator.Secret == "" {
		if operator.Secret, err = d.authority.RotateSecret(operator.ClientID); err != nil {
			return err
		}
	}
	authority, err := pki.LoadAuthority(d.settings.Authority)
	if err != nil {
		return err
	}
	d.config = cloud.Config{
		Name: "local", SubscriptionID: d.settings.Subscription, TenantID: d.settings.Tenant, Location: d.options.Location,
		ResourceManager: d.url(loopback.String()), Authority: d.url(loopback.String()), Audience: audience, CA: string(authority.CertPEM()),
		Credential: cloud.Credential{ClientID: operator.ClientID, ClientSecret: operator.Secret},
		DNSSuffix:  dnsSuffix, Registry: domain, Mirror: true, PublishOn: loopback.String(),
		StorageSuffix: fmt.Sprintf("localhost:%d", d.settings.Ports.Files),
		Inside: &cloud.Inside{
			ResourceManager: d.url(managementName), Authority: d.url(managementName),
			Files: d.insideFiles(),
		},
	}
	return d.config.Save(path)
}
