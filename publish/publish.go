// Package publish answers the requests for what a role shows to everyone: the
// certificates of its authority and its status lists.
package publish

import (
	"errors"
	"net/http"
	"time"

	"github.com/eidos-id/eidos/format/pki"
	"github.com/eidos-id/eidos/internal/web"
	"github.com/eidos-id/eidos/keyring"
	"github.com/eidos-id/eidos/statuslist"
)

// Root answers with the certificate of the authority's newest root, DER. RFC
// 2585, 4.1.
func Root(w http.ResponseWriter, r *http.Request, ca *keyring.CA, now time.Time) error {
	root, err := ca.Root(r.Context(), now)
	if errors.Is(err, keyring.ErrOffline) {
		return web.Errorf(http.StatusNotFound, "The certificate of this authority has not been brought in yet.")
	}
	if err != nil {
		return err
	}
	web.NewFile("application/pkix-cert", root.Raw).Serve(w, r, 5*time.Minute)
	return nil
}

// Roots answers with the certificates of all roots of the authority whose
// signatures count, the newest first, and behind them the link certificates that
// lead from one to the next, PEM. RFC 7468, 5.
func Roots(w http.ResponseWriter, r *http.Request, ca *keyring.CA, now time.Time) error {
	roots, err := ca.Roots(r.Context(), now)
	if errors.Is(err, keyring.ErrOffline) {
		return web.Errorf(http.StatusNotFound, "The certificate of this authority has not been brought in yet.")
	}
	if err != nil {
		return err
	}
	links, err := ca.Links(r.Context(), now)
	if err != nil {
		return err
	}
	var all []byte
	for _, root := range roots {
		all = append(all, pki.EncodePEM(root.Certificate)...)
	}
	web.NewFile("application/x-pem-file", append(all, pki.EncodePEM(links...)...)).Serve(w, r, 5*time.Minute)
	return nil
}

// CRL answers with a revocation list of the authority, DER: that of the first
// root, or of the one that the path names. RFC 5280, 4.2.1.13; RFC 2585, 4.2.
func CRL(w http.ResponseWriter, r *http.Request, ca *keyring.CA, now time.Time) error {
	crl, err := ca.CRL(r.Context(), r.PathValue("root"), now)
	if errors.Is(err, keyring.ErrOffline) {
		return web.Errorf(http.StatusNotFound, "No revocation list of this authority has been brought in yet.")
	}
	if errors.Is(err, keyring.ErrUnknownRoot) {
		return web.Errorf(http.StatusNotFound, "This authority has no such root, or it has ended and what it signed with it.")
	}
	if err != nil {
		return err
	}
	web.NewFile("application/pkix-crl", crl).Serve(w, r, time.Hour)
	return nil
}

// Certificates answers with the list of certificates in use, for those who watch.
func Certificates(w http.ResponseWriter, r *http.Request, ca *keyring.CA, now time.Time) error {
	list, err := ca.Published(r.Context(), now)
	if err != nil {
		return err
	}
	web.JSON(w, http.StatusOK, list)
	return nil
}

// StatusList answers with the newest token of the list named in the path, out
// of files if it is there. Lists of the past are not kept. Token Status List,
// 8.1, 8.2 and 8.4.
func StatusList(w http.ResponseWriter, r *http.Request, board *statuslist.Board, files *web.Files, now time.Time) error {
	if r.URL.Query().Has("time") {
		return web.Errorf(http.StatusNotImplemented, "Only the present status list is served, none of the past.")
	}
	list, err := board.Current(r.Context(), r.PathValue("list"), now)
	if errors.Is(err, statuslist.ErrUnknown) {
		return web.Errorf(http.StatusNotFound, "There is no such status list.")
	}
	if err != nil {
		return err
	}
	return files.Serve(w, r, list, list.MaxAge(now))
}

// StatusLists answers with the addresses of all lists, for those who keep
// copies for offline use. Token Status List, 9.3.
func StatusLists(w http.ResponseWriter, r *http.Request, board *statuslist.Board, now time.Time) error {
	lists, err := board.Lists(r.Context(), now)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "public, max-age=60")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	web.JSON(w, http.StatusOK, lists)
	return nil
}
