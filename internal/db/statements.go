package db

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strings"
)

// SQLite compiles a statement each time it is run through database/sql, which
// takes longer than running it. What follows keeps compiled statements with
// their connection, as the driver for PostgreSQL does by itself.

// maxStatements is how many a connection keeps. The texts are constants of the
// program, so that there is no need to choose.
const maxStatements = 256

// openCaching is sql.Open for SQLite with kept statements.
func openCaching(dsn string) (*sql.DB, error) {
	plain, err := sql.Open("sqlite", dsn)
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	return sql.OpenDB(connector{plain.Driver(), dsn}), nil
}

type connector struct {
	driver driver.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.driver.Open(c.dsn)
	if err != nil {
		return nil, err
	}
	whole, ok := conn.(sqliteConn)
	if !ok {
		conn.Close()
		return nil, fmt.Errorf("db: connections of type %T are not known", conn)
	}
	return &keepingConn{whole, map[string]*statement{}}, nil
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// sqliteConn is what a connection of the driver for SQLite can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// keepingConn is a connection that keeps compiled statements. database/sql uses
// a connection from one goroutine at a time.
type keepingConn struct {
	sqliteConn
	kept map[string]*statement
}

// statement is compiled. One whose rows are being read runs only once.
type statement struct {
	driver.Stmt
	exec  driver.StmtExecContext
	query driver.StmtQueryContext
	busy  bool
}

// ExecContext implements driver.ExecerContext.
func (c *keepingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	r, err := s.exec.ExecContext(ctx, args)
	if err != nil {
		c.forget(text)
	}
	return r, err
}

// QueryContext implements driver.QueryerContext.
func (c *keepingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	r, err := s.query.QueryContext(ctx, args)
	if err != nil {
		c.forget(text)
		return nil, err
	}
	s.busy = true
	return &keptRows{r, s}, nil
}

// statement returns the compiled statement; nil where it cannot be kept or is
// in use.
func (c *keepingConn) statement(ctx context.Context, text string) (*statement, error) {
	s := c.kept[text]
	switch {
	case s != nil && s.busy:
		return nil, nil
	case s != nil:
		return s, nil
	case len(c.kept) >= maxStatements || !single(text):
		return nil, nil
	}
	compiled, err := c.sqliteConn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s = &statement{Stmt: compiled}
	exec, ok1 := compiled.(driver.StmtExecContext)
	query, ok2 := compiled.(driver.StmtQueryContext)
	if !ok1 || !ok2 {
		return nil, compiled.Close()
	}
	s.exec, s.query = exec, query
	c.kept[text] = s
	return s, nil
}

// single reports whether a text is one statement that reads or changes rows, or
// goes to a savepoint: others change the schema or the connection.
func single(text string) bool {
	text = strings.TrimSpace(text)
	word, _, _ := strings.Cut(text, " ")
	switch strings.ToLower(word) {
	case "select", "insert", "update", "delete", "savepoint", "release", "rollback":
		return !strings.Contains(text, ";")
	}
	return false
}

// forget drops a statement that failed: the next one begins afresh.
func (c *keepingConn) forget(text string) {
	c.kept[text].Close() // says the same error again
	delete(c.kept, text)
}

// Close implements driver.Conn.
func (c *keepingConn) Close() error {
	for text := range c.kept {
		c.forget(text)
	}
	return c.sqliteConn.Close()
}

// keptRows sets its statement free when it is closed.
type keptRows struct {
	driver.Rows
	of *statement
}

// Close implements driver.Rows.
func (r *keptRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
