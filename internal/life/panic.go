package life

import (
	"fmt"
	"io"
	"runtime/debug"
)

// A PanicError is a panic that was recovered.
type PanicError struct {
	// Value is what was passed to panic. It may hold anything, so the error's text
	// does not have it.
	Value any
	// Stack is the stack of the goroutine that panicked.
	Stack []byte
}

// Error says that there was a panic, and nothing of its value.
func (e *PanicError) Error() string {
	return "a function that was called panicked; print this error with %+v for the stack"
}

// SafeText marks the text as free of data.
func (*PanicError) SafeText() {}

// Format writes the text, and the stack after it for %+v. The stack names functions
// and files; it does not have the value.
func (e *PanicError) Format(f fmt.State, verb rune) { Format(f, verb, e.Error(), e.Stack) }

// Format writes the text of a panic's error, and its stack after it for %+v.
func Format(f fmt.State, verb rune, text string, stack []byte) {
	_, _ = io.WriteString(f, text)
	if verb == 'v' && f.Flag('+') {
		_, _ = fmt.Fprintf(f, "\n%s", stack)
	}
}

// Recover recovers a panic and calls report with a *PanicError. It must be deferred.
func Recover(report func(error)) {
	if value := recover(); value != nil {
		report(&PanicError{Value: value, Stack: debug.Stack()})
	}
}
