// Package web is the HTTP of every role: the client for outbound fetches, the
// server with its limits and headers, replies, errors with a reference id, and
// the look of the pages.
//
// A role builds its handler from an http.ServeMux and wraps it once:
//
//	return web.Wrap(mux, web.WrapOptions{Log: log, Role: "issuer"})
//
// A handler that can fail is an ErrFunc; what it returns is rendered as a page
// or as JSON, whichever was asked for, and logged under a reference id:
//
//	mux.Handle("GET /offers/{id}", web.ErrFunc(s.showOffer))
//
// A protocol's engine, which knows no net/http, is mounted by Engine.
package web
