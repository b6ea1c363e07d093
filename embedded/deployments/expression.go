package deployments

import (
	"fmt"
	"strconv"
	"strings"
)

// expression is what stands in brackets in a template's string.
type expression interface{ eval(s *scope) (any, error) }

type (
	// literal is a string or a number.
	literal struct{ value any }
	// call is a function with its arguments.
	call struct {
		name string
		args []expression
	}
	// member is a property or an element of what another expression gives.
	member struct{ of, key expression }
)

// isExpression returns the expression in a string, if it is one: what starts
// with two brackets is a text that starts with one.
func isExpression(text string) (string, bool) {
	if !strings.HasPrefix(text, "[") || strings.HasPrefix(text, "[[") || !strings.HasSuffix(text, "]") {
		return "", false
	}
	return text[1 : len(text)-1], true
}

// parse reads an expression.
func parse(text string) (expression, error) {
	if len(text) > maxExpression {
		return nil, fmt.Errorf("the template language expression '%.64s...' has %d characters; the most is %d", text, len(text), maxExpression)
	}
	p := parser{text: text}
	e, err := p.expression(0)
	if err == nil && p.skip() < len(p.text) {
		err = p.unexpected()
	}
	if err != nil {
		return nil, fmt.Errorf("the template language expression '%.256s' is not valid: %w", text, err)
	}
	return e, nil
}

// maxDepth is how deep expressions may be nested.
const maxDepth = 100

type parser struct {
	text string
	at   int
}

func (p *parser) skip() int {
	for p.at < len(p.text) && strings.IndexByte(" \t\r\n", p.text[p.at]) >= 0 {
		p.at++
	}
	return p.at
}

// take passes over a sign if it comes next.
func (p *parser) take(sign byte) bool {
	if p.skip() < len(p.text) && p.text[p.at] == sign {
		p.at++
		return true
	}
	return false
}

func (p *parser) unexpected() error {
	if p.at >= len(p.text) {
		return fmt.Errorf("it ends too early")
	}
	return fmt.Errorf("'%c' at %d is not expected", p.text[p.at], p.at)
}

func (p *parser) expression(depth int) (expression, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested too deeply")
	}
	e, err := p.primary(depth)
	for err == nil {
		switch {
		case p.take('.'):
			var name string
			if name, err = p.name(); err == nil {
				e = member{e, literal{name}}
			}
		case p.take('['):
			var key expression
			if key, err = p.expression(depth + 1); err == nil {
				if !p.take(']') {
					return nil, p.unexpected()
				}
				e = member{e, key}
			}
		default:
			return e, nil
		}
	}
	return nil, err
}

func (p *parser) primary(depth int) (expression, error) {
	switch p.skip(); {
	case p.at >= len(p.text):
		return nil, p.unexpected()
	case p.text[p.at] == '\'':
		return p.string()
	case p.text[p.at] == '-' || isDigit(p.text[p.at]):
		return p.number()
	}
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	if !p.take('(') {
		return nil, p.unexpected()
	}
	e := call{name: strings.ToLower(name)}
	if p.take(')') {
		return e, nil
	}
	for {
		arg, err := p.expression(depth + 1)
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, arg)
		if p.take(')') {
			return e, nil
		}
		if !p.take(',') {
			return nil, p.unexpected()
		}
	}
}

// string reads a text in single quotes, of which two mean one inside.
func (p *parser) string() (expression, error) {
	var text strings.Builder
	for p.at++; p.at < len(p.text); p.at++ {
		if p.text[p.at] == '\'' {
			if p.at+1 == len(p.text) || p.text[p.at+1] != '\'' {
				p.at++
				return literal{text.String()}, nil
			}
			p.at++
		}
		text.WriteByte(p.text[p.at])
	}
	return nil, fmt.Errorf("a string has no end")
}

func (p *parser) number() (expression, error) {
	begin := p.at
	for p.at++; p.at < len(p.text) && isDigit(p.text[p.at]); {
		p.at++
	}
	n, err := strconv.ParseInt(p.text[begin:p.at], 10, 64)
	return literal{n}, err
}

func (p *parser) name() (string, error) {
	begin := p.skip()
	for p.at < len(p.text) && (isLetter(p.text[p.at]) || isDigit(p.text[p.at])) {
		p.at++
	}
	if begin == p.at {
		return "", p.unexpected()
	}
	return p.text[begin:p.at], nil
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }
