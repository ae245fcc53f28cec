// Package rediskit connects to Redis the way a service that must stay up
// wants it: one factory for standalone, Sentinel and Cluster.
package rediskit
