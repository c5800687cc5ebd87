package rest

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/eidos-id/eidos/internal/web"
)

// Call is a request that was let through.
type Call struct {
	context.Context
	Tenant string
	ID     string // of the path, "" if it has none
	Item   string // the second one of the path
	Token  Token
	Now    time.Time
	secret string // text of the token
	key    string // Idempotency-Key, "" if none was sent
}

// None is an input or an answer without content.
type None struct{}

// Operation is one thing that an API does. Routes, checks, and the OpenAPI
// document are made of the table of operations: one that is added there is
// complete.
type Operation struct {
	Method, Path string
	ID           string // operationId
	Summary      string
	Scope        Scope
	Status       int  // of success
	Idempotent   bool // takes an Idempotency-Key

	Input  *Schema // of the body or, for GET and DELETE, of the query; nil for none
	Answer *Schema // nil for none; of a stream the data of its events
	run    func(c Call, input []byte) (any, error)

	// Stream answers in place of run, with events of which each is an answer.
	Stream func(w http.ResponseWriter, r *http.Request, c Call) error
}

// Op makes an operation of a function. In is the input: the body, or the query
// of GET and DELETE, whose names are the JSON names of its fields. Out is the
// answer. None is for either without content.
func Op[In, Out any](method, path, id, summary string, scope Scope, status int, f func(c Call, in In) (Out, error)) Operation {
	o := Operation{Method: method, Path: path, ID: id, Summary: summary, Scope: scope, Status: status}
	if t := reflect.TypeFor[In](); t != reflect.TypeFor[None]() {
		o.Input = SchemaOf(t).Bounded()
	}
	if t := reflect.TypeFor[Out](); t != reflect.TypeFor[None]() {
		o.Answer = SchemaOf(t)
	}
	o.run = func(c Call, input []byte) (any, error) {
		var in In
		if err := o.Input.Decode(input, &in); err != nil {
			return nil, err
		}
		return f(c, in)
	}
	return o
}

// OpJSON is Op for a function that has part of the answer as JSON already. Out
// is what all of it is like.
func OpJSON[In, Out any](method, path, id, summary string, scope Scope, status int, f func(c Call, in In) (web.Spliced, error)) Operation {
	o := Op(method, path, id, summary, scope, status, f)
	o.Answer = SchemaOf(reflect.TypeFor[Out]())
	return o
}

// Events makes a GET operation that streams server-sent events of which each
// has an Event as its data. HTML Standard, 9.2.
func Events[Event any](path, id, summary string, scope Scope, f func(w http.ResponseWriter, r *http.Request, c Call) error) Operation {
	return Operation{Method: http.MethodGet, Path: path, ID: id, Summary: summary, Scope: scope, Status: http.StatusOK,
		Answer: SchemaOf(reflect.TypeFor[Event]()), Stream: f}
}
