// Package areatest is the suite that every secure area has to pass. It is for
// tests only.
package areatest

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/eidos-id/eidos/format/key"
	"github.com/eidos-id/eidos/securearea"
)

// Run checks an area against the obligations of securearea.Area. open returns
// an area that is unlocked; it may be the same one each time. Curves and
// features that its Info does not list are checked to be refused.
func Run(t *testing.T, open func(t *testing.T) securearea.Area) {
	t.Run("info", func(t *testing.T) { info(t, open(t)) })
	t.Run("sign", func(t *testing.T) { sign(t, open(t)) })
	t.Run("agree", func(t *testing.T) { agree(t, open(t)) })
	t.Run("batch", func(t *testing.T) { batch(t, open(t)) })
	t.Run("unsupported", func(t *testing.T) { unsupported(t, open(t)) })
	t.Run("absent", func(t *testing.T) { absent(t, open(t)) })
	t.Run("attest", func(t *testing.T) { attest(t, open(t)) })
	t.Run("unlock", func(t *testing.T) { unlock(t, open(t)) })
	t.Run("context", func(t *testing.T) { cancelled(t, open(t)) })
	t.Run("concurrent", func(t *testing.T) { concurrent(t, open(t)) })
}

func create(t *testing.T, a securearea.Area, q securearea.Request) securearea.Key {
	t.Helper()
	infos, err := a.Create(t.Context(), q)
	if err != nil {
		t.Fatalf("create a %s key to %s: %v", q.Curve, q.Purpose, err)
	}
	if len(infos) != 1 {
		t.Fatalf("create returned %d keys, asked for one", len(infos))
	}
	return securearea.NewKey(a, infos[0])
}

func wantErr(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error is %v, want %v", what, err, want)
	}
}

func info(t *testing.T, a securearea.Area) {
	i := a.Info()
	if i.Name == "" || i.Type == "" || i.Attestation == "" || i.MaxBatch < 1 {
		t.Errorf("Info is not complete: %+v", i)
	}
	if !i.Level.AtLeast(securearea.LevelSoftware) {
		t.Errorf("level %q is none of ours", i.Level)
	}
	if len(i.SignCurves)+len(i.AgreeCurves) == 0 {
		t.Error("the area has no curve")
	}
}

func sign(t *testing.T, a securearea.Area) {
	for _, curve := range a.Info().SignCurves {
		t.Run(string(curve), func(t *testing.T) {
			k := create(t, a, securearea.Request{Curve: curve, Purpose: securearea.Sign})
			again, err := securearea.Open(t.Context(), a, k.Info().ID)
			if err != nil {
				t.Fatal(err)
			}
			signer, err := again.Signer()
			if err != nil {
				t.Fatal(err)
			}
			var _ key.Signer = signer
			if !key.Equal(signer.Public(), k.Info().Public) {
				t.Error("Key and Create return different public keys")
			}
			for _, message := range [][]byte{nil, []byte("a message"), bytes.Repeat([]byte{7}, 1<<16)} {
				signature, err := signer.Sign(t.Context(), message)
				if err != nil {
					t.Fatalf("message of %d bytes: %v", len(message), err)
				}
				if err := key.Verify(k.Info().Public, message, signature); err != nil {
					t.Errorf("message of %d bytes: %v", len(message), err)
				}
				if err := key.Verify(k.Info().Public, append(message, 0), signature); err == nil {
					t.Error("the signature verifies another message")
				}
			}
			peer, err := ecdh.P256().GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			_, err = a.Agree(t.Context(), k.Info().ID, peer.PublicKey(), securearea.Unlock{})
			wantErr(t, "agree with a key to sign", err, securearea.ErrUnsupported)
			if _, err := again.Agreer(); !errors.Is(err, securearea.ErrUnsupported) {
				t.Errorf("Agreer of a key to sign: %v", err)
			}
			remove(t, a, k)
		})
	}
}

var curves = map[securearea.Curve]ecdh.Curve{
	securearea.P256: ecdh.P256(), securearea.P384: ecdh.P384(), securearea.P521: ecdh.P521(), securearea.X25519: ecdh.X25519(),
}

func agree(t *testing.T, a securearea.Area) {
	for _, curve := range a.Info().AgreeCurves {
		t.Run(string(curve), func(t *testing.T) {
			k := create(t, a, securearea.Request{Curve: curve, Purpose: securearea.Agree})
			agreer, err := k.Agreer()
			if err != nil {
				t.Fatal(err)
			}
			var _ key.Agreer = agreer
			peer, err := curves[curve].GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			want, err := peer.ECDH(agreer.Public())
			if err != nil {
				t.Fatal(err)
			}
			got, err := agreer.Agree(t.Context(), peer.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Error("the two sides agree on different secrets")
			}
			for other, c := range curves {
				if other == curve {
					continue
				}
				foreign, err := c.GenerateKey(rand.Reader)
				if err != nil {
					t.Fatal(err)
				}
				_, err = agreer.Agree(t.Context(), foreign.PublicKey())
				wantErr(t, fmt.Sprintf("a peer on %s", other), err, securearea.ErrUnsupported)
			}
			_, err = agreer.Agree(t.Context(), nil)
			wantErr(t, "no peer", err, securearea.ErrUnsupported)
			_, err = a.Sign(t.Context(), k.Info().ID, []byte("m"), securearea.Unlock{})
			wantErr(t, "sign with a key to agree", err, securearea.ErrUnsupported)
			if _, err := k.Signer(); !errors.Is(err, securearea.ErrUnsupported) {
				t.Errorf("Signer of a key to agree: %v", err)
			}
			remove(t, a, k)
		})
	}
}

// remove deletes the key, which was used before, and sees that it is gone.
func remove(t *testing.T, a securearea.Area, k securearea.Key) {
	t.Helper()
	id := k.Info().ID
	if err := k.Delete(t.Context()); err != nil {
		t.Fatalf("delete: %v", err)
	}
	_, err := a.Sign(t.Context(), id, []byte("m"), securearea.Unlock{})
	wantErr(t, "sign after delete", err, securearea.ErrNotFound)
	_, err = a.Key(t.Context(), id)
	wantErr(t, "key after delete", err, securearea.ErrNotFound)
	wantErr(t, "delete twice", k.Delete(t.Context()), securearea.ErrNotFound)
}

// anyRequest is for one key that the area can make.
func anyRequest(a securearea.Area) securearea.Request {
	i := a.Info()
	if len(i.SignCurves) > 0 {
		return securearea.Request{Curve: i.SignCurves[0], Purpose: securearea.Sign}
	}
	return securearea.Request{Curve: i.AgreeCurves[0], Purpose: securearea.Agree}
}

func batch(t *testing.T, a securearea.Area) {
	q := anyRequest(a)
	q.Count = min(5, a.Info().MaxBatch)
	infos, err := a.Create(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if len(infos) != q.Count {
		t.Fatalf("%d keys, want %d", len(infos), q.Count)
	}
	for i, one := range infos {
		for _, other := range infos[:i] {
			if one.ID == other.ID || key.Equal(one.Public, other.Public) {
				t.Error("two keys of the batch are the same")
			}
		}
	}
	q.Count = a.Info().MaxBatch + 1
	_, err = a.Create(t.Context(), q)
	wantErr(t, "a batch too large", err, securearea.ErrUnsupported)
}

func unsupported(t *testing.T, a securearea.Area) {
	all := []securearea.Curve{securearea.P256, securearea.P384, securearea.P521, securearea.Ed25519, securearea.X25519, "P-192", ""}
	for _, curve := range all {
		for _, purpose := range []securearea.Purpose{securearea.Sign, securearea.Agree, "both", ""} {
			if a.Info().Supports(curve, purpose) {
				continue
			}
			_, err := a.Create(t.Context(), securearea.Request{Curve: curve, Purpose: purpose})
			wantErr(t, fmt.Sprintf("create a %q key to %q", curve, purpose), err, securearea.ErrUnsupported)
		}
	}
	q := anyRequest(a)
	q.Challenge = make([]byte, 65)
	_, err := a.Create(t.Context(), q)
	wantErr(t, "a challenge of 65 bytes", err, securearea.ErrUnsupported)
}

func absent(t *testing.T, a securearea.Area) {
	for _, id := range []string{"", "nothing", "../../etc/passwd", "area", "00000000000000000000000000000000"} {
		_, err := a.Key(t.Context(), id)
		wantErr(t, "Key "+id, err, securearea.ErrNotFound)
		_, err = a.Sign(t.Context(), id, nil, securearea.Unlock{})
		wantErr(t, "Sign "+id, err, securearea.ErrNotFound)
		_, err = a.Attest(t.Context(), id, nil)
		wantErr(t, "Attest "+id, err, securearea.ErrNotFound)
		wantErr(t, "Delete "+id, a.Delete(t.Context(), id), securearea.ErrNotFound)
	}
}

func attest(t *testing.T, a securearea.Area) {
	q := anyRequest(a)
	q.Challenge = []byte("challenge at creation")
	k := create(t, a, q)
	if got := k.Info().Attestation; got.Format != a.Info().Attestation || !bytes.Equal(got.Challenge, q.Challenge) {
		t.Errorf("attestation at creation: %+v", got)
	}
	fresh := []byte("another challenge")
	got, err := k.Attest(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	if got.Format != a.Info().Attestation || !bytes.Equal(got.Challenge, fresh) {
		t.Errorf("attestation: %+v", got)
	}
	if (got.Format == "none") != (len(got.Evidence) == 0) {
		t.Errorf("format %q with %d pieces of evidence", got.Format, len(got.Evidence))
	}
}

func unlock(t *testing.T, a securearea.Area) {
	q := anyRequest(a)
	q.Unlock = securearea.Unlock{Passphrase: []byte("correct horse")}
	if !a.Info().Unlock {
		_, err := a.Create(t.Context(), q)
		wantErr(t, "a protected key", err, securearea.ErrUnsupported)
		return
	}
	if q.Purpose != securearea.Sign {
		t.Skip("this area has no curve to sign with, and the check signs")
	}
	k := create(t, a, q)
	if !k.Info().Protected {
		t.Error("the key does not say that it is protected")
	}
	use := func(k securearea.Key) error {
		signer, err := k.Signer()
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.Sign(t.Context(), []byte("m"))
		if err != nil {
			return err
		}
		return key.Verify(signer.Public(), []byte("m"), signature)
	}
	with := func(passphrase string) securearea.Key {
		return k.WithUnlock(func(context.Context) (securearea.Unlock, error) {
			return securearea.Unlock{Passphrase: []byte(passphrase)}, nil
		})
	}
	wantErr(t, "nothing given", use(k), securearea.ErrLocked)
	wantErr(t, "wrong passphrase", use(with("wrong horse")), securearea.ErrLocked)
	if err := use(with("correct horse")); err != nil {
		t.Errorf("right passphrase: %v", err)
	}
	wantErr(t, "nothing given after a use", use(k), securearea.ErrLocked)
	refused := errors.New("person said no")
	wantErr(t, "person refused", use(k.WithUnlock(func(context.Context) (securearea.Unlock, error) {
		return securearea.Unlock{}, refused
	})), refused)
}

func cancelled(t *testing.T, a securearea.Area) {
	k := create(t, a, anyRequest(a))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := a.Create(ctx, anyRequest(a))
	wantErr(t, "Create", err, context.Canceled)
	_, err = a.Key(ctx, k.Info().ID)
	wantErr(t, "Key", err, context.Canceled)
	_, err = a.Sign(ctx, k.Info().ID, nil, securearea.Unlock{})
	wantErr(t, "Sign", err, context.Canceled)
	wantErr(t, "Delete", a.Delete(ctx, k.Info().ID), context.Canceled)
	if _, err := a.Key(t.Context(), k.Info().ID); err != nil {
		t.Errorf("the key is gone after a cancelled delete: %v", err)
	}
}

func concurrent(t *testing.T, a securearea.Area) {
	q := anyRequest(a)
	if q.Purpose != securearea.Sign {
		t.Skip("this area has no curve to sign with, and the check signs")
	}
	shared := create(t, a, q)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			infos, err := a.Create(t.Context(), q)
			if err != nil {
				t.Errorf("create: %v", err)
				return
			}
			for _, info := range []securearea.KeyInfo{infos[0], shared.Info()} {
				signature, err := a.Sign(t.Context(), info.ID, []byte("m"), securearea.Unlock{})
				if err != nil {
					t.Errorf("sign: %v", err)
				} else if err := key.Verify(info.Public, []byte("m"), signature); err != nil {
					t.Error(err)
				}
			}
			if err := a.Delete(t.Context(), infos[0].ID); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
	wg.Wait()
}
