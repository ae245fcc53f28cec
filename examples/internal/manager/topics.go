package manager

// A topic is something that people ask a voice assistant at home between the hours from
// and to. Its turns alternate between speaker and assistant; the speaker begins.
type topic struct {
	title    string
	from, to int
	turns    []string
}

var topics = []topic{
	{"Previsão do tempo em {cidade}", 6, 10, []string{
		"Como vai estar o tempo em {cidade} hoje?",
		"Em {cidade} a máxima deve chegar a {graus} graus, com pancadas de chuva no fim da tarde.",
		"Preciso levar guarda-chuva?",
		"Sim, {nome}: a chance de chuva passa de 70% depois das 16h.",
	}},
	{"Alarme para as {hora}", 20, 24, []string{
		"Me acorda amanhã às {hora}.",
		"Alarme marcado para amanhã às {hora}. Boa noite, {nome}!",
		"Repete nos dias de semana, por favor.",
		"Pronto: de segunda a sexta, às {hora}.",
	}},
	{"Receita de {prato}", 10, 20, []string{
		"Me ensina uma receita fácil de {prato}.",
		"Claro! Para quatro pessoas leva uns {n} minutos. Quer ouvir os ingredientes ou o passo a passo?",
		"Os ingredientes primeiro.",
		"Anotei os ingredientes e mandei a lista para o seu celular.",
		"Agora o passo a passo.",
		"Vamos lá: comece refogando a cebola e o alho em fogo baixo. Me avise quando estiver pronto.",
	}},
	{"Lista de compras", 8, 21, []string{
		"Coloca {item} na lista de compras.",
		"Adicionei {item}. A lista tem {n} itens.",
		"O que mais falta?",
		"Faltam arroz, feijão, detergente e pão de forma.",
		"Pode tirar o detergente, já comprei.",
		"Feito, tirei o detergente da lista.",
	}},
	{"Jogo do {time}", 13, 23, []string{
		"Que horas joga o {time}?",
		"O {time} joga hoje às 21h30, pelo Campeonato Brasileiro.",
		"Me avisa quando começar.",
		"Combinado, aviso cinco minutos antes do apito inicial.",
	}},
	{"Ligar para {parente}", 8, 22, []string{
		"Liga para {parente}.",
		"Ligando para {o parente}.",
	}},
	{"Luzes {comodo}", 18, 24, []string{
		"Apaga as luzes {comodo}.",
		"Apaguei as luzes {comodo}.",
		"E deixa o abajur em 20%.",
		"Abajur em 20%.",
	}},
	{"Trânsito até {cidade}", 6, 19, []string{
		"Como está o trânsito até {cidade}?",
		"Há lentidão na saída da cidade. A viagem leva {n} minutos a mais que o normal.",
		"Tem outro caminho?",
		"Pela marginal você ganha cerca de dez minutos. Mandei a rota para o seu celular.",
	}},
	{"Lembrete: remédio {do parente}", 7, 22, []string{
		"Me lembra de dar o remédio {do parente} às {hora}.",
		"Certo, lembro você às {hora}.",
		"Todos os dias, até domingo.",
		"Anotado: todos os dias às {hora}, até domingo.",
	}},
	{"Música para relaxar", 17, 24, []string{
		"Toca uma MPB tranquila.",
		"Tocando uma seleção de MPB acústica.",
		"Abaixa um pouco o volume.",
		"Volume em 30%.",
		"Quem está cantando?",
		"É Marisa Monte, em \"Ainda Bem\".",
	}},
	{"Timer do forno", 10, 21, []string{
		"Conta {n} minutos para o forno.",
		"Timer de {n} minutos iniciado.",
		"Quanto falta?",
		"Falta pouco menos da metade do tempo.",
	}},
	{"Notícias da manhã", 6, 10, []string{
		"Quais são as notícias de hoje?",
		"Bom dia, {nome}! Aqui vão as cinco manchetes principais.",
		"Só as de economia.",
		"O dólar abriu estável e a inflação do mês ficou abaixo do esperado.",
	}},
	{"Agenda da semana", 7, 20, []string{
		"O que eu tenho na agenda amanhã?",
		"Amanhã você tem reunião às {hora} e dentista no fim da tarde.",
		"Desmarca o dentista.",
		"Não consigo desmarcar por aqui, mas posso ligar para o consultório. Ligo?",
		"Pode ligar.",
		"Ligando para o consultório.",
	}},
	{"Aniversário {do parente}", 9, 22, []string{
		"Quando é o aniversário {do parente}?",
		"É daqui a {n} dias. Quer que eu lembre você na véspera?",
		"Quero, e sugere um presente.",
		"Que tal um livro ou um jantar com {prato}? Já deixei o lembrete marcado.",
	}},
	{"Conta de luz", 9, 21, []string{
		"Quando vence a conta de luz?",
		"A conta de luz vence em {n} dias.",
		"Ficou mais cara que no mês passado?",
		"Ficou 12% mais cara: o ar-condicionado foi o que mais pesou.",
	}},
	{"História para dormir", 19, 22, []string{
		"Conta uma história para as crianças dormirem.",
		"Era uma vez, perto de {cidade}, um vaga-lume que tinha medo do escuro...",
		"Outra, mais curta!",
		"Era uma vez um bocejo tão grande que fez a casa inteira dormir. Fim. Boa noite!",
	}},
	{"Lição de matemática", 14, 19, []string{
		"Quanto é {n} vezes 12?",
		"Posso dar a resposta ou ajudar a chegar lá. O que prefere, {nome}?",
		"Me ajuda a chegar lá.",
		"Multiplique primeiro por 10, depois por 2, e some os dois resultados.",
	}},
	{"Farmácia aberta em {cidade}", 18, 24, []string{
		"Tem alguma farmácia aberta agora em {cidade}?",
		"Encontrei três farmácias abertas. A mais perto fica a 600 metros.",
		"Eles entregam?",
		"Sim, a entrega leva uns 40 minutos. Quer o telefone?",
	}},
	{"Ar-condicionado {comodo}", 12, 23, []string{
		"Liga o ar-condicionado {comodo}.",
		"Liguei o ar-condicionado {comodo}, em 23 graus.",
		"Desliga à meia-noite.",
		"Combinado: desligo à meia-noite.",
	}},
	{"Viagem para {cidade}", 10, 22, []string{
		"Quanto custa viajar para {cidade} no feriado?",
		"Saindo na sexta e voltando no domingo, a passagem mais barata custa R$ {n}9,90 de ônibus.",
		"E de avião?",
		"De avião sai bem mais caro no feriado. Posso avisar se o preço cair.",
		"Pode avisar.",
		"Aviso ativado. Acompanho os preços por você.",
	}},
}

var firstNames = []string{
	"Ana", "Antônio", "Beatriz", "Bruno", "Caio", "Camila", "Cecília", "Cláudia", "Daniel", "Débora",
	"Eduardo", "Fernanda", "Francisco", "Gabriela", "Gustavo", "Helena", "Heitor", "Isabela", "João", "José",
	"Joana", "Larissa", "Letícia", "Luana", "Lucas", "Luiz", "Marcelo", "Márcia", "Maria", "Matheus",
	"Miguel", "Natália", "Otávio", "Patrícia", "Paulo", "Pedro", "Rafael", "Renata", "Sônia", "Thiago",
	"Valentina", "Vinícius",
}

var lastNames = []string{
	"Almeida", "Alves", "Araújo", "Barbosa", "Batista", "Brandão", "Cardoso", "Carvalho", "Castro", "Correia",
	"Costa", "Cunha", "Dias", "Duarte", "Farias", "Fernandes", "Ferreira", "Freitas", "Gomes", "Gonçalves",
	"Lima", "Lopes", "Magalhães", "Martins", "Melo", "Mendes", "Moreira", "Nascimento", "Nogueira", "Oliveira",
	"Pereira", "Pinto", "Queiroz", "Ramos", "Ribeiro", "Rocha", "Rodrigues", "Santos", "Silva", "Souza",
	"Teixeira", "Vieira",
}

var (
	relatives = []string{
		"minha mãe", "meu pai", "minha avó", "meu avô", "minha irmã", "meu irmão", "minha filha", "meu filho",
		"minha tia", "meu primo",
	}
	cities = []string{
		"São Paulo", "Rio de Janeiro", "Belo Horizonte", "Salvador", "Fortaleza", "Recife", "Curitiba",
		"Porto Alegre", "Goiânia", "Belém", "Manaus", "Florianópolis", "Campinas", "São Luís", "João Pessoa",
		"Ribeirão Preto",
	}
	dishes = []string{
		"feijoada", "moqueca", "pão de queijo", "bobó de camarão", "escondidinho", "strogonoff de frango",
		"bolo de fubá", "baião de dois", "risoto de palmito", "galinhada", "pudim de leite", "farofa",
	}
	teams = []string{
		"Flamengo", "Palmeiras", "Corinthians", "São Paulo", "Grêmio", "Internacional", "Cruzeiro",
		"Atlético Mineiro", "Bahia", "Fortaleza", "Vasco", "Fluminense", "Botafogo", "Santos",
	}
	hours     = []string{"6h", "6h30", "7h", "7h15", "8h", "8h30", "9h", "10h"}
	rooms     = []string{"da sala", "do quarto", "da cozinha", "do escritório", "da varanda", "do corredor"}
	groceries = []string{
		"café", "leite", "banana", "tapioca", "queijo minas", "papel-toalha", "azeite", "mamão",
		"sabão em pó", "farinha de mandioca", "goiabada", "ovos",
	}
)
