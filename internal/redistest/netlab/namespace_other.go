//go:build !linux

package netlab

import "errors"

func newNamespace() (*namespace, error) { return nil, errors.New("it is not Linux") }
