package refusal

// ErrMisfit is what every Misfit is.
var ErrMisfit error = misfit{}

type misfit struct{}

func (misfit) Error() string { return "rediskit: the server and the configuration do not fit" }

// SafeText marks the text as free of data.
func (misfit) SafeText() {}

// A Misfit is the error of a server that will not serve this client until somebody
// changes the configuration of either. Waiting does not help, and it is no outage.
type Misfit struct {
	Cause  error  // without data; may be nil
	Advice string // what to do
}

func (m *Misfit) Error() string {
	if m.Cause == nil {
		return m.Advice
	}
	return m.Cause.Error() + ": " + m.Advice
}

// Unwrap returns the cause.
func (m *Misfit) Unwrap() error { return m.Cause }

// Is reports whether target is ErrMisfit.
func (*Misfit) Is(target error) bool { return target == ErrMisfit }

// SafeText marks the text as free of data.
func (*Misfit) SafeText() {}
