package storage

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"hash/fnv"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Handles are the open files of processes in groups that have the share
// mounted, as the kernel knows them; on Azure they are those of SMB. The
// kernel lets nobody close another's file, so none is ever closed by force:
// what was asked for is told to have failed.

// handleList is the body of a list of handles.
type handleList struct {
	XMLName    xml.Name `xml:"EnumerationResults"`
	Entries    []handle `xml:"Entries>Handle"`
	NextMarker string
}

// handle is an open file of a process.
type handle struct {
	HandleID     string `xml:"HandleId"`
	Path         entryName
	FileID       string `xml:"FileId"`
	ParentID     string `xml:"ParentId"`
	SessionID    string `xml:"SessionId"`
	ClientIP     string `xml:"ClientIp"`
	ClientName   string
	OpenTime     string
	AccessRights []string `xml:"AccessRightList>AccessRight"`
}

// selectHandles returns the handles that a request is about, by their ids:
// those of its file or directory and, with x-ms-recursive, of all below it.
func (f *filesRequest) selectHandles() ([]handle, error) {
	e, err := f.open(f.path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer e.close()
	root, err := f.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer root.Close()
	share, err := placeOf(root)
	if err != nil {
		return nil, err
	}
	all, err := f.handles(share)
	if err != nil {
		return nil, err
	}
	recursive := strings.EqualFold(f.Header.Get("x-ms-recursive"), "true")
	return slices.DeleteFunc(all, func(h handle) bool {
		path := h.Path.decoded()
		_, inside := below("/"+path, "/"+f.path)
		return path != f.path && !(recursive && inside)
	}), nil
}

// handles returns all handles of a share that is at a place.
func (f *filesRequest) handles(share place) ([]handle, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	list := []handle{}
	for _, dir := range dirs {
		p := process{dir: dir}
		// Processes end, and some are not ours to look into.
		if filepath.Base(dir) == strconv.Itoa(os.Getpid()) || p.readMounts() != nil || !p.sees(share) {
			continue
		}
		descriptors, err := p.descriptors()
		if err != nil {
			continue
		}
		for _, d := range descriptors {
			path, ok := below(d.place.path, share.path)
			if d.place.device == share.device && ok {
				if h, ok := f.handle(&p, d, path); ok {
					list = append(list, h)
				}
			}
		}
		if err := f.Context().Err(); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list, func(a, b handle) int { return strings.Compare(a.HandleID, b.HandleID) })
	return list, nil
}

// handle describes a descriptor; ok is false for a file that is no longer there.
func (f *filesRequest) handle(p *process, d descriptor, path string) (h handle, ok bool) {
	info, err := f.root.Lstat(cmp.Or(path, "."))
	if err != nil || !os.SameFile(info, d.info) {
		return h, false
	}
	parent := "0"
	if up, err := f.root.Lstat(filepath.Dir(cmp.Or(path, "."))); err == nil && path != "" {
		parent = inode(up)
	}
	session := fmt.Sprintf("%s %d", p.dir, p.started())
	return handle{
		HandleID: number(session + " " + d.number + " " + inode(info)), SessionID: number(session),
		Path: newEntryName(path), FileID: inode(info), ParentID: parent,
		ClientIP: p.address(), ClientName: p.address(), OpenTime: p.begun().UTC().Format(http.TimeFormat),
		AccessRights: rights(d.flags),
	}, true
}

// number makes an id out of a text.
func number(text string) string {
	h := fnv.New64a()
	h.Write([]byte(text))
	return strconv.FormatUint(h.Sum64(), 10)
}

// rights are what a file was opened for.
func rights(flags int) []string {
	switch flags & (os.O_WRONLY | os.O_RDWR) {
	case os.O_WRONLY:
		return []string{"Write"}
	case os.O_RDWR:
		return []string{"Read", "Write"}
	}
	return []string{"Read"}
}

// listHandles answers a page of handles: the marker of the next is the id that
// it starts with.
func (f *filesRequest) listHandles() error {
	if f.Method != http.MethodGet {
		return f.unsupported()
	}
	all, err := f.selectHandles()
	if err != nil {
		return err
	}
	limit, err := f.maxResults()
	if err != nil {
		return err
	}
	list := handleList{}
	for _, h := range all {
		if h.HandleID < f.query.Get("marker") {
			continue
		}
		if len(list.Entries) == limit {
			list.NextMarker = h.HandleID
			break
		}
		list.Entries = append(list.Entries, h)
	}
	body, err := xml.Marshal(list)
	if err != nil {
		return err
	}
	writeXML(f.w, http.StatusOK, body)
	return nil
}

// closeHandles answers how many of the handles meant are open: none is closed.
func (f *filesRequest) closeHandles() error {
	const header = "x-ms-handle-id"
	id := f.Header.Get(header)
	if f.Method != http.MethodPut {
		return f.unsupported()
	}
	if _, err := strconv.ParseUint(id, 10, 64); err != nil && id != "*" {
		return invalidHeader(header)
	}
	all, err := f.selectHandles()
	if err != nil {
		return err
	}
	failed := 0
	for _, h := range all {
		if id == "*" || id == h.HandleID {
			failed++
		}
	}
	f.w.Header().Set("x-ms-number-of-handles-closed", "0")
	f.w.Header().Set("x-ms-number-of-handles-failed", fmt.Sprint(failed))
	f.w.WriteHeader(http.StatusOK)
	return nil
}
