package rest

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/eidos-id/eidos/internal/db"
	"github.com/eidos-id/eidos/internal/once"
)

const (
	keyLifetime  = 24 * time.Hour
	keyUndecided = time.Minute // after which a request that left no answer may be tried again
	maxKey       = 128
)

// kindKey is that of what is kept under the keys.
func (a *API) kindKey() string { return a.config.Name + " idempotency" }

// kept is what is remembered under an Idempotency-Key. The answer is sealed: it
// may hold a PIN, and is for whoever had the token and the key.
type kept struct {
	Request []byte `json:"request"` // hash
	Answer  []byte `json:"answer,omitempty"`
}

// idempotencyKey reads the header, as a structured string or bare.
// draft-ietf-httpapi-idempotency-key-header-07, 2.1.
func idempotencyKey(r *http.Request) (string, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return "", nil
	}
	k := values[0]
	if len(k) >= 2 && k[0] == '"' && k[len(k)-1] == '"' {
		k = k[1 : len(k)-1]
	}
	if len(values) > 1 || len(k) < 8 || len(k) > maxKey || strings.ContainsFunc(k, func(c rune) bool { return c <= ' ' || c > '~' || c == '"' || c == '\\' }) {
		return "", Refusal(http.StatusBadRequest, "invalid_idempotency_key", "Idempotency-Key is one text of 8 to %d printable ASCII characters without spaces and quotes.", maxKey)
	}
	return k, nil
}

// again runs an operation once for an Idempotency-Key of a token. A request that
// comes again within a day gets the answer of the first; another request under
// the key is refused. A process that dies in between leaves the key undecided
// for a minute, and perhaps an offer that nobody ever sees.
func (a *API) again(c Call, o Operation, input []byte) (any, error) {
	id := once.Hash(strings.Join([]string{c.Token.ID, o.ID, c.key}, "\x00"))
	sum := sha256.Sum256(input)
	sealer, err := a.answerSealer(c)
	if err != nil {
		return nil, err
	}
	before, err := a.reserve(c, id, sum[:])
	if err != nil {
		return nil, err
	}
	if before != nil {
		if subtle.ConstantTimeCompare(before.Request, sum[:]) != 1 {
			return nil, Refusal(http.StatusUnprocessableEntity, "idempotency_key_reused", "The Idempotency-Key was sent with another request before.")
		}
		if before.Answer == nil {
			return nil, Refusal(http.StatusConflict, "in_progress", "The same request is being worked on. Please try again in a minute.")
		}
		plain, err := sealer.Open(nil, nil, before.Answer, []byte(id))
		return json.RawMessage(plain), err
	}
	answer, err := o.run(c, input)
	if err != nil {
		return nil, errors.Join(err, a.settle(c, id, nil))
	}
	plain, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	k := &kept{Request: sum[:], Answer: sealer.Seal(nil, nil, plain, []byte(id))}
	return answer, a.settle(c, id, k)
}

// reserve takes the key for a request, or returns what is under it.
func (a *API) reserve(c Call, id string, sum []byte) (before *kept, err error) {
	err = a.config.DB.Tx(c, func(ctx context.Context, tx *db.Tx) error {
		before = nil
		st := tx.Once(c.Tenant)
		value, err := st.Get(ctx, a.kindKey(), id, c.Now)
		if errors.Is(err, once.ErrNotFound) || errors.Is(err, once.ErrExpired) || errors.Is(err, once.ErrClaimed) {
			value, err := json.Marshal(kept{Request: sum})
			if err != nil {
				return err
			}
			return st.Put(ctx, a.kindKey(), id, value, c.Now.Add(keyUndecided))
		}
		if err != nil {
			return err
		}
		return json.Unmarshal(value, &before)
	})
	return before, err
}

// settle keeps the answer under the key; nil frees the key. The client may be
// gone by now: the answer is for when it comes again.
func (a *API) settle(c Call, id string, k *kept) error {
	return a.config.DB.Tx(context.WithoutCancel(c), func(ctx context.Context, tx *db.Tx) error {
		st := tx.Once(c.Tenant)
		if k == nil {
			return st.Put(ctx, a.kindKey(), id, nil, c.Now)
		}
		value, err := json.Marshal(k)
		if err != nil {
			return err
		}
		return st.Put(ctx, a.kindKey(), id, value, c.Now.Add(keyLifetime))
	})
}

// answerSealer encrypts under the token and the key, neither of which is stored.
func (a *API) answerSealer(c Call) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(c.secret), []byte(c.key), "eidos "+a.config.Name+" answer", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
