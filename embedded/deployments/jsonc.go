package deployments

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
)

// clean turns what clients send as a deployment into JSON. az puts the file of
// a template into its request as it is, behind a key without quotes; such
// files may have comments, commas too many and strings of many lines.
func clean(text []byte) []byte {
	c := cleaner{in: text}
	for c.at < len(c.in) {
		c.next()
	}
	return c.out.Bytes()
}

// cleaner reads text and writes JSON.
type cleaner struct {
	in  []byte
	at  int
	out bytes.Buffer
}

// next reads one word, string, comment or sign.
func (c *cleaner) next() {
	b := c.in[c.at]
	switch {
	case b == '"':
		c.string()
	case c.comment():
	case b == ',' && c.closes(c.at+1):
		c.at++ // a comma that nothing follows
	case isLetter(b):
		c.word()
	default:
		c.out.WriteByte(b)
		c.at++
	}
}

// string copies a string; what may not stand in one is escaped.
func (c *cleaner) string() {
	c.out.WriteByte('"')
	for c.at++; c.at < len(c.in); c.at++ {
		switch b := c.in[c.at]; b {
		case '"':
			c.out.WriteByte('"')
			c.at++
			return
		case '\\':
			c.out.WriteByte(b)
			if c.at+1 < len(c.in) {
				c.at++
				c.out.WriteByte(c.in[c.at])
			}
		case '\n':
			c.out.WriteString(`\n`)
		case '\r':
			c.out.WriteString(`\r`)
		case '\t':
			c.out.WriteString(`\t`)
		default:
			c.out.WriteByte(b)
		}
	}
}

// comment passes over a comment, if there is one.
func (c *cleaner) comment() bool {
	end := commentEnd(c.in, c.at)
	found := end > c.at
	c.at = end
	return found
}

// commentEnd returns where the comment at a place ends, or the place.
func commentEnd(text []byte, at int) int {
	ending := ""
	switch rest := text[at:]; {
	case bytes.HasPrefix(rest, []byte("//")):
		ending = "\n"
	case bytes.HasPrefix(rest, []byte("/*")):
		ending = "*/"
	default:
		return at
	}
	length := bytes.Index(text[at+2:], []byte(ending))
	if length < 0 {
		return len(text)
	}
	return at + 2 + length + len(ending)
}

// skip returns the first place from one on that is neither blank nor comment.
func (c *cleaner) skip(at int) int {
	for at < len(c.in) {
		if end := commentEnd(c.in, at); end > at {
			at = end
		} else if strings.IndexByte(" \t\r\n", c.in[at]) >= 0 {
			at++
		} else {
			break
		}
	}
	return at
}

// closes says whether an object or array ends at a place.
func (c *cleaner) closes(at int) bool {
	at = c.skip(at)
	return at < len(c.in) && (c.in[at] == '}' || c.in[at] == ']')
}

// word copies a word, in quotes if it is a key.
func (c *cleaner) word() {
	begin := c.at
	for c.at < len(c.in) && (isLetter(c.in[c.at]) || c.in[c.at] >= '0' && c.in[c.at] <= '9') {
		c.at++
	}
	word := c.in[begin:c.at]
	if after := c.skip(c.at); after < len(c.in) && c.in[after] == ':' {
		c.out.WriteString(`"` + string(word) + `"`)
		return
	}
	c.out.Write(word)
}

func isLetter(b byte) bool {
	return b == '_' || b == '$' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// decode reads JSON, or what is nearly that, into v, and keeps numbers exact.
func decode(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(clean(text)))
	decoder.UseNumber()
	return decoder.Decode(v)
}

// plain turns the numbers of a decoded value into int64 where they are whole,
// else float64: what expressions compute with. What is out of range is the
// largest there is, since no JSON could be written of an infinite number.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range is infinite
		return max(-math.MaxFloat64, min(f, math.MaxFloat64))
	case []any:
		list := make([]any, len(v))
		for i, item := range v {
			list[i] = plain(item)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, item := range v {
			object[key] = plain(item)
		}
		return object
	}
	return v
}
