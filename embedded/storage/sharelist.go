package storage

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// shareList is the body of a list of shares.
type shareList struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:"ServiceEndpoint,attr"`
	Prefix          string
	Marker          string
	MaxResults      int
	Shares          []shareEntry `xml:"Shares>Share"`
	NextMarker      string
}

type shareEntry struct {
	Name       string
	Properties shareProperties
	Metadata   *metadataElement `xml:",omitempty"`
}

type shareProperties struct {
	LastModified     string `xml:"Last-Modified"`
	Etag             string
	Quota            int
	AccessTier       string
	LeaseStatus      string
	LeaseState       string
	LeaseDuration    string `xml:",omitempty"`
	EnabledProtocols string
}

// metadataElement is metadata as XML: each name is an element.
type metadataElement map[string]string

// MarshalXML writes the names with their values.
func (m metadataElement) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	if err := e.EncodeToken(start); err != nil {
		return err
	}
	for name, value := range m {
		if err := e.EncodeElement(value, xml.StartElement{Name: xml.Name{Local: name}}); err != nil {
			return err
		}
	}
	return e.EncodeToken(start.End())
}

// serveAccount answers a request about the account: the list of its shares, or
// the properties of its file service, which are fixed.
func (f *filesRequest) serveAccount() error {
	comp, restype := f.query.Get("comp"), f.query.Get("restype")
	switch {
	case f.Method == http.MethodGet && comp == "list":
		return f.listShares()
	case f.Method == http.MethodGet && comp == "properties" && restype == "service":
		const metrics = "<Version>1.0</Version><Enabled>false</Enabled><RetentionPolicy><Enabled>false</Enabled></RetentionPolicy>"
		writeXML(f.w, http.StatusOK, []byte("<StorageServiceProperties><HourMetrics>"+metrics+"</HourMetrics><MinuteMetrics>"+metrics+
			"</MinuteMetrics><Cors/></StorageServiceProperties>"))
		return nil
	}
	return f.unsupported()
}

// maxResults returns how many entries a page of a list may have.
func (f *filesRequest) maxResults() (int, error) {
	text := f.query.Get("maxresults")
	if text == "" {
		return maxListed, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, &filesError{http.StatusBadRequest, "OutOfRangeQueryParameterValue", "maxresults must be 1 or more."}
	}
	return min(n, maxListed), nil
}

// listShares answers a page of the account's shares: the marker of the next is
// the name that it starts with.
func (f *filesRequest) listShares() error {
	shares, err := f.service.shares(f.account.Name)
	if err != nil {
		return err
	}
	list := shareList{ServiceEndpoint: f.endpoint(), Prefix: f.query.Get("prefix"), Marker: f.query.Get("marker")}
	if list.MaxResults, err = f.maxResults(); err != nil {
		return err
	}
	withMetadata := strings.Contains(f.query.Get("include"), "metadata")
	for _, sh := range shares {
		if !strings.HasPrefix(sh.Name, list.Prefix) || sh.Name < list.Marker {
			continue
		}
		if len(list.Shares) == list.MaxResults {
			list.NextMarker = sh.Name
			break
		}
		list.Shares = append(list.Shares, newShareEntry(sh, withMetadata))
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	writeXML(f.w, http.StatusOK, body)
	return nil
}

func newShareEntry(sh share, withMetadata bool) shareEntry {
	now := time.Now()
	e := shareEntry{Name: sh.Name, Properties: shareProperties{
		LastModified: sh.Modified.UTC().Format(http.TimeFormat), Etag: sh.etag(), Quota: sh.QuotaGiB, AccessTier: sh.AccessTier,
		LeaseStatus: sh.Lease.status(now), LeaseState: sh.Lease.state(now), EnabledProtocols: "SMB",
	}}
	if sh.Lease.state(now) == "leased" {
		e.Properties.LeaseDuration = sh.Lease.duration()
	}
	if withMetadata && len(sh.Metadata) > 0 {
		m := metadataElement(sh.Metadata)
		e.Metadata = &m
	}
	return e
}
