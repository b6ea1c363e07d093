package storage

func (f *filesRequest) listHandles() error  { return f.unsupported() }
func (f *filesRequest) closeHandles() error { return f.unsupported() }
