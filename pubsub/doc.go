// Package pubsub publishes and receives messages of one type.
package pubsub
