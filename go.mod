module github.com/convkit/rediskit

go 1.26.0
