package manager

import (
	"context"
	"hash/fnv"
	"time"
)

// A cannedAssistant is an Assistant for demonstrations. It waits for thinks, then answers
// with one of a few phrases. The same words get the same answer.
type cannedAssistant struct{ thinks time.Duration }

var phrases = []string{
	"Pronto, anotado. Quer que eu faça mais alguma coisa?",
	"Deixa comigo: aviso assim que souber.",
	"Boa pergunta! Achei três opções; quer ouvir a primeira?",
	"Feito. Se mudar de ideia, é só falar.",
	"Claro. Começo agora mesmo.",
}

func (p cannedAssistant) Answer(ctx context.Context, said string) (string, error) {
	select {
	case <-time.After(p.thinks):
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	h := fnv.New32a()
	h.Write([]byte(said))
	return phrases[h.Sum32()%uint32(len(phrases))], nil
}
