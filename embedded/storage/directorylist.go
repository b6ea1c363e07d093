package storage

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxListed is the most entries that one page of a list has.
const maxListed = 5000

// directoryList is the body of a list of a directory.
type directoryList struct {
	XMLName         xml.Name `xml:"EnumerationResults"`
	ServiceEndpoint string   `xml:"ServiceEndpoint,attr"`
	ShareName       string   `xml:"ShareName,attr"`
	DirectoryPath   string   `xml:"DirectoryPath,attr"`
	Prefix          string   `xml:"Prefix"`
	Marker          string   `xml:"Marker"`
	MaxResults      int      `xml:"MaxResults"`
	// Entries are listEntry of files and directories, by name.
	Entries     []listEntry `xml:"Entries>Entry"`
	NextMarker  string      `xml:"NextMarker"`
	DirectoryID string      `xml:"DirectoryId"`
}

// listEntry is one entry; its XMLName is File or Directory.
type listEntry struct {
	XMLName    xml.Name
	Name       entryName
	FileID     string `xml:"FileId"`
	Properties entryProperties
	// Attributes are the usual ones: a list does not open every file to see
	// whether a client gave it others.
	Attributes    string
	PermissionKey string
}

type entryName struct {
	Encoded bool   `xml:"Encoded,attr,omitempty"`
	Text    string `xml:",chardata"`
}

type entryProperties struct {
	ContentLength  *int64 `xml:"Content-Length"`
	CreationTime   string `xml:",omitempty"`
	LastAccessTime string `xml:",omitempty"`
	LastWriteTime  string `xml:",omitempty"`
	ChangeTime     string `xml:",omitempty"`
	LastModified   string `xml:"Last-Modified,omitempty"`
	Etag           string `xml:",omitempty"`
}

func (f *filesRequest) listDirectory() error {
	dir, err := f.openDirectory()
	if err != nil {
		return err
	}
	defer dir.close()
	list := directoryList{
		ServiceEndpoint: f.endpoint(), ShareName: f.share, DirectoryPath: f.path,
		Prefix: f.query.Get("prefix"), Marker: f.query.Get("marker"), DirectoryID: inode(dir.info),
	}
	if list.MaxResults, err = f.maxResults(); err != nil {
		return err
	}
	if err := f.fill(&list, dir.file); err != nil {
		return err
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	writeXML(f.w, http.StatusOK, body)
	return nil
}

// fill puts the page of entries after the marker into a list.
func (f *filesRequest) fill(list *directoryList, dir *os.File) error {
	after, err := base64.RawURLEncoding.DecodeString(list.Marker)
	if err != nil {
		return &filesError{http.StatusBadRequest, "InvalidQueryParameterValue", "The marker is not one that a list returned."}
	}
	entries, err := readSorted(dir)
	if err != nil {
		return err
	}
	in, err := os.OpenRoot(fdPath(dir))
	if err != nil {
		return err
	}
	defer in.Close()
	for _, entry := range entries {
		if entry.Name() <= string(after) || !strings.HasPrefix(entry.Name(), list.Prefix) {
			continue
		}
		if !entry.IsDir() && !entry.Type().IsRegular() {
			continue
		}
		if len(list.Entries) == list.MaxResults {
			last := list.Entries[len(list.Entries)-1].Name
			list.NextMarker = base64.RawURLEncoding.EncodeToString([]byte(last.decoded()))
			return nil
		}
		info, err := in.Lstat(entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return err
		}
		list.Entries = append(list.Entries, newListEntry(dir, info))
	}
	return nil
}

// readSorted returns the entries of an open directory by name.
func readSorted(dir *os.File) ([]fs.DirEntry, error) {
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

func newListEntry(dir *os.File, info fs.FileInfo) listEntry {
	e := listEntry{XMLName: xml.Name{Local: "Directory"}, Name: newEntryName(info.Name()), FileID: inode(info)}
	e.Attributes, e.PermissionKey = "Archive", permissionKey
	if info.IsDir() {
		e.Attributes = "Directory"
	}
	e.Properties.CreationTime = showTime(creationTime(dir, info.Name(), info))
	e.Properties.LastAccessTime = showTime(accessTime(info))
	e.Properties.LastWriteTime = showTime(info.ModTime())
	e.Properties.ChangeTime = showTime(changeTime(info))
	e.Properties.LastModified = info.ModTime().UTC().Format(http.TimeFormat)
	e.Properties.Etag = etag(info)
	if !info.IsDir() {
		size := info.Size()
		e.XMLName.Local, e.Properties.ContentLength = "File", &size
	}
	return e
}

// newEntryName encodes a name that XML cannot hold.
func newEntryName(name string) entryName {
	control := strings.ContainsFunc(name, func(c rune) bool { return c < 0x20 || c == 0xfffe || c == 0xffff })
	if utf8.ValidString(name) && !control {
		return entryName{Text: name}
	}
	return entryName{Encoded: true, Text: url.PathEscape(name)}
}

func (n entryName) decoded() string {
	if !n.Encoded {
		return n.Text
	}
	name, err := url.PathUnescape(n.Text)
	if err != nil {
		return n.Text
	}
	return name
}
