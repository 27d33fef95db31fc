"""Own lexicon of English words and phrases that show an emotion in film dialogue; dedicated to the public domain (CC0).

An entry is a word, a stem with "*" ("delight*" is also delighted and delightful), or a phrase with "_" for spaces. Each
belongs to one emotion, with a strength; a word in two lists counts for both. Written for this project, from no other
lexicon.
"""

from __future__ import annotations

CLASSES = ("happy", "sad", "angry", "surprised", "fear", "disgusted", "neutral")
"""The seven classes of the text network, in its order; contempt is read from no text."""

_STRONG, _CLEAR, _HINT = 1.0, 0.6, 0.3

_ENTRIES: dict[str, dict[float, str]] = {
    "happy": {
        _STRONG: """
            happ* happiest joy* delight* overjoyed thrill* ecsta* bliss* elat* cheerful* wonderful* marvel*
            fantastic* jubila* euphor* rejoic* hooray hurray yay yippee woohoo celebrat* congratulat*
            i_love_it love_it love_this i_love_you best_day dream_come_true come_true so_proud proud_of_you
            over_the_moon so_glad made_my_day couldn't_be_happier never_been_happier so_happy thank_goodness
            thank_god we_did_it we_won i_won you_did_it she_said_yes he_said_yes said_yes good_news
            great_news what_a_day on_top_of_the_world can't_stop_smiling heaven* paradise best_thing
            cloud_nine having_fun so_much_fun laughed_so_hard i'm_in_love got_the_part got_the_job""",
        _CLEAR: """
            glad* pleas* proud* pride excit* awesome amazing* brilliant* excellent* splendid* superb*
            gorgeous beautiful* lovely adorabl* sweet* perfect* great laugh* laughter smil* giggl* grin*
            danc* sing singing sang party parties birthday* wedding* married engaged champagne cheers toast
            festiv* holiday* vacation* sunshin* glorious* magic* magnificent* grateful* gratitude thankful*
            bless* lucky luck* fortunat* victor* triumph* win winning winner* won hug* kiss* cuddl* love
            loves loved loving adore* fun funny hilarious* playful* merry jolly enjoy* welcome* honeymoon
            reunion baby cherish* treasur* relie* hopeful* optimis* charming* content contented satisf*
            success* succeed* achiev* accomplish* passed promot* bravo terrific fabulous dream* paradise*
            darling sunny favou* best_ever free_at_last well_done good_job at_last thank_you_so_much
            look_forward can't_wait finally_here came_home coming_home safe_and_sound back_home cute
            fell_in_love healthy cured recovered all_clear first_prize""",
        _HINT: """
            good nice well fine better best finally together friend* home thank thanks warm bright gift*
            present* surprise* cake music song* spring summer game yes dear garden puppy kitten candy
            chocolate play playing special everyone delicious tasty""",
    },
    "sad": {
        _STRONG: """
            sad sadd* sadness sorrow* grie* heartbr* broken_heart broke_my_heart breaks_my_heart miser*
            depress* mourn* weep* wept sob sobb* tears teardrop* cry crying cried devastat* despair*
            hopeless* lonel* melanchol* i_miss miss_you miss_him miss_her missing_you passed_away
            rest_in_peace funeral* buried burial grave graveyard coffin widow* all_alone so_alone
            nothing_left gave_up give_up_on nobody_left never_see never_come_back not_coming_back
            gone_forever without_you without_her without_him lost_her lost_him lost_my lost_everything
            too_late if_only wish_i_had he's_gone she's_gone they're_gone it's_over we_lost i_failed
            can't_go_on no_one_came nobody_came no_point i'm_so_sorry sorry_for_your_loss say_goodbye
            goodbye_forever last_goodbye used_to_be the_last_time she_died he_died should_have_been_there""",
        _CLEAR: """
            alone lone lonesome abandon* empty emptiness regret* remorse* ashamed unhapp* gloom* blue hurt
            hurts hurting pain* ache* aching suffer* loss losses died die dies dying dead death* goodbye
            farewell orphan* homesick* forgot* forgotten unloved unwanted useless worthless fail* failure*
            disappoint* defeat* broken shattered crush* tired weary exhaust* numb wither* fade* faded pity
            piti* tragic* tragedy* sorry apolog* fault mistake miscarriage cancer hospital terminal
            incurable divorc* leaving left lost lose losing bereft wistful* nostalg* bitter tearful*
            helpless* guilt* cold_bed empty_chair empty_house never_again no_longer anymore any_more
            nobody_remembers no_one_cares nobody_cares nobody_needs don't_belong let_you_down let_them_down
            let_him_down wasted gone didn't_make_it couldn't_save old_photograph* memories doesn't_remember
            doesn't_recognise doesn't_know_me i_wish rejected""",
        _HINT: """
            miss missed remember* once away winter rain silent silence quiet grey gray dark slow old last
            ended ends end memory letter* photograph* grandmother grandfather mother father anyway nothing
            nobody never waited sold closed almost only forgive""",
    },
    "angry": {
        _STRONG: """
            angr* anger furious* fury rage rag* outrag* livid enrag* infuriat* hate* hatred loath* despise*
            how_dare dare_you shut_up shut_your get_out get_lost go_to_hell damn* bastard* idiot* moron*
            stupid* fool* liar* lying lied betray* traitor* sick_of sick_and_tired fed_up had_enough
            enough_is_enough leave_me_alone get_off don't_you_dare don't_touch never_forgive pay_for_this
            pay_for_that you_ruined you_promised your_fault all_your_fault how_could_you who_do_you_think
            what_the_hell hell coward* cheat* stole steal* thief thieves i'll_kill piss* bloody crap
            not_my_problem back_off drop_dead screw_you stop_lying last_time_i stop_it i_warned i_told_you
            i_said out_of_my_sight out_of_my_house get_away_from_me you_had_no_right no_right make_me_sick
            you_always you_never don't_walk_away don't_you_ever don't_tell_me don't_talk_to_me i_don't_care
            what_is_wrong_with_you shame_on_you you_people hang_up_on""",
        _CLEAR: """
            mad annoy* irritat* resent* bitter* hostil* insult* offend* offens* disrespect* disgrace* unfair
            unjust* injust* unacceptable intolerabl* ridiculous* absurd nonsense rubbish garbage lie lies
            blame* accus* threat* yell* shout* scream* slam* smash* punch* hit fight* fought attack* revenge
            veng* punish* destroy* ruin* incompeten* useless lazy selfish* greed* arrogan* hypocri* rude*
            cruel* monster* pig scum brat tyrant* corrupt* enough demand* warning sue lawyer* excuse excuses
            complain* ignor* interrupt* waste wasting wasted behind_my_back to_my_face again_and_again
            every_single_time once_more one_more_word one_more_time listen_to_me look_at_me answer_me
            do_you_hear do_you_understand out_of_here wait_any_longer nerve kick* fire fired my_way
            don't_lie humiliat* mock* laughed_at treat* sick_joke trust* deserve* jerk* blood_boil*
            hands_off crook*""",
        _HINT: """
            stop out right again always never every promise* told don't now why you your fault late money
            dare word business problem apologize pay paid break broke expect* responsib* behave* patience
            nobody_asked""",
    },
    "surprised": {
        _STRONG: """
            surpris* astonish* amaz* astound* shock* stun* unbeliev* incredib* unexpected* speechless*
            flabbergast* dumbfound* wow whoa gosh gasp* no_way oh_my_god oh_my_gosh oh_my my_god
            good_heavens goodness good_lord can't_believe cannot_believe couldn't_believe don't_believe_it
            never_expected never_thought didn't_expect wasn't_expecting out_of_nowhere out_of_the_blue
            are_you_serious are_you_kidding you're_kidding must_be_kidding you're_joking really
            what_are_you_doing_here what_on_earth where_did_you where_did_that did_you_just since_when
            how_on_earth how_is_that how_did_you you_mean wait_what what_do_you_mean had_no_idea no_idea
            never_seen never_heard i'd_never_guess who_would_have would_have_guessed would_have_thought
            who_knew look_at_that look_who is_that_you is_that_really you're_alive he's_alive she's_alive
            he_did_what she_did_what they_did_what you_did_what he_said_what you_what twins impossible
            blew_my_mind jaw_dropped well_i_never holy_cow holy""",
        _CLEAR: """
            sudden* miracl* miraculous* bewilder* baffl* startl* wonder* strange* odd* weird* curious*
            extraordinar* remarkabl* mysterious* unreal astonishing heavens blimey huh wait what how who
            seriously honestly actually is_it_true is_this_real can_it_be could_it_be turned_out turns_out
            all_this_time all_along the_whole_time right_under just_like_that by_itself overnight appeared
            appear vanish* disappear* million billion pregnant double triple in_one_night ten_years
            twenty_years believe imagine* unheard revealed secret guess guessed you_knew you_know_him
            you_speak you_can you_two you_were so_soon so_fast already so_much that_much""",
        _HINT: """
            oh look here there alone why ever suddenly everyone everything whole real true new first
            different one doubt* identical""",
    },
    "fear": {
        _STRONG: """
            afraid fear* scare* scari* terrif* terror* horrif* frighten* fright* petrif* panic* dread*
            nightmar* haunt* help_me please_don't don't_hurt don't_kill don't_leave_me going_to_die
            gonna_die we'll_die will_kill trying_to_kill someone_is somebody_is someone's somebody's
            something_is_wrong something's_wrong something_moved behind_you behind_us watch_out look_out
            run_away hide hiding hid they're_coming he's_coming she's_coming it's_coming they_found
            they'll_find he'll_find don't_move don't_make_a_sound keep_your_voice_down be_quiet did_you_hear
            i_heard what_was_that who's_there is_anyone_there is_somebody_there in_the_dark can't_breathe
            hold_my_hand shak* trembl* shiver* gun knife murder* kill* killer* get_us_out let_me_out
            get_me_out trapped call_the_police lock_the_door locked_in followed following_us following_me
            watching_us watching_me what_if hurry bomb stalk*""",
        _CLEAR: """
            worr* nervous* anxi* uneasy alarm* danger* threaten* risk* unsafe creep* eerie sinister ghost*
            spirit* demon* monster* scream* blood bleed* attack* victim* escape* trap* drown* burn* fire
            smoke flood* storm* earthquake explod* explosion crash* falling fall poison* snake* spider*
            shark* wolf wolves dark darkness shadow* footstep* basement cellar attic noise* whisper*
            heart_is_pounding heart_is_racing pound* racing helpless* doom* emergency police warn* surgery
            operation diagnosis lump biopsy claustrophob* heights phobia paralys* paralyz* frozen froze
            freez* cliff edge slip* losing_control brakes run running careful careful* quick quickly
            wait_for_us it's_not_safe not_safe nowhere_to no_way_out no_signal can't_see won't_open
            won't_start don't_go don't_go_in don't_open don't_look don't_let alone_in getting_closer
            coming_closer stay_away stay_back come_closer stay_with_me on_the_roof at_the_window outside_the""",
        _HINT: """
            please don't god night door window upstairs downstairs forest woods woods engine lights
            something someone somebody there closer hear heard behind down no wait lost missing quiet hand
            breath* phone""",
    },
    "disgusted": {
        _STRONG: """
            disgust* revolt* repuls* repugn* gross yuck* yuk ew eww ugh nause* nauseat* vomit* puk* throw_up
            threw_up sick_to_my_stomach makes_me_sick turns_my_stomach my_stomach_turn vile foul filth*
            putrid rotten rott* rot mould* mold* maggot* cockroach* roach* stink* stinks stench reek* smell*
            slim* sewage sewer* toilet* vermin rancid gag gagg* horrid hideous loathsome sickening
            unhygienic spit* snot* pus urine pee feces poop dung manure take_it_away get_it_away
            get_that_away get_it_off can't_eat won't_eat not_eating wouldn't_touch not_touching
            don't_make_me_eat crawling_with covered_in something_dead""",
        _CLEAR: """
            dirty dirt grim* grimy mess* nasty awful* horribl* terribl* greas* oily sticky slobber* drool*
            sweat* armpit* bathroom rat rats lice flea fleas fly flies worm* slug* insect* bug bugs hair_in
            hairs crust* clot* infect* wound* blister* scab* puddle bin garbage trash* waste leftovers sour
            spoiled expired curdled chew* swallow* bite lick* taste* mouth food plate soup meat fish milk
            cheese egg eggs liver mushroom* fridge sink drain bucket mop wash* towel* socks underwear
            toenail* fingernail* pervert* indecent obscen* perverse degrad* deprav* sleaz* shameless
            tasteless unspeakable contaminat* pollut* tox* carcass* corpse* dead_rat decay* smeared dripping
            ooz* stomach how_can_you_eat who_eats touched_that touch_that near_me""",
        _HINT: """
            eat eating ate drink drank touch touched hands fingers floor kitchen wear wearing clean* inside
            look cooked kiss face feet skin hair that thing stuff under""",
    },
    "neutral": {
        _STRONG: """
            meeting* appointment* schedul* report reports department document* form forms sign office*
            invoice* receipt* train bus platform station terminal gate flight departs departure arrives
            arrival o'clock quarter_past half_past minutes per_cent percent number numbers page pages
            chapter list copy copies file files folder street avenue road corner turn_left turn_right
            on_the_left on_the_right straight_ahead floor elevator reception lobby counter monday tuesday
            wednesday thursday friday weekday* january february march april june july august september
            october november december kilomet* metre* meter* litre* inch* weigh* measure* temperature
            degrees address phone_number email* message parcel delivery deliver* order orders ordered shop
            store opens closes bank account* tax insurance information instruction* according available
            usual usually average standard normal* regular* agenda minutes_later second_floor third_floor
            second_door two_sugars spoon* teaspoon* recipe* stir* boil* simmer* oven preheat""",
        _CLEAR: """
            morning afternoon evening today tomorrow yesterday week weeks month months year hour hours
            minute tuesday's table chair desk shelf drawer cupboard key keys box boxes bag coat umbrella pen
            pencil paper ink printer computer keyboard screen screens button* switch lamp window_seat
            ticket* seat car parked parking garage driv* bridge river tower building* school university
            library museum town city map north south east west weather forecast cloud* breakfast lunch
            dinner coffee tea sugar bread butter water glass cup newspaper magazine article* book books
            committee manager* assistant* secretar* colleague* employ* customer* client* supplier* contract*
            agreement* project* plan plans budget* price* cost* cheque discount sale figures results data
            survey* example* question* answer* topic subject system* process* method* version update*
            install* repair* replace* battery batteries usually currently normally generally approximately
            roughly about between include* contain* consist* require* located built painted made written
            based depends similar second third next following colour color size please_take please_sign
            please_leave please_fill let_me_know as_you_know as_far_as in_the_meantime""",
        _HINT: """
            the of by from in on at to then first also usually left right put take took bring call called
            ask asked said say think know see go went come came use used need needs work works live lives
            move moved start starts begin begins two three four five six seven eight nine ten""",
    },
}  # fmt: skip

NEGATORS = frozenset(
    """
    not no never nothing nobody none neither nor hardly scarcely barely without cannot cant don't doesn't
    didn't isn't aren't wasn't weren't won't wouldn't can't couldn't shouldn't haven't hasn't hadn't ain't
    dont doesnt didnt isnt arent wasnt werent wont wouldnt couldnt anything
    """.split()
)
INTENSIFIERS = frozenset(
    """very so really extremely absolutely completely totally utterly terribly awfully incredibly such too deeply ever
    entirely truly desperately insanely most simply damn bloody""".split()
)
DIMINISHERS = frozenset(
    "slightly somewhat rather quite fairly bit little almost partly mildly kind sort perhaps maybe".split()
)


def entries() -> list[tuple[str, int, float]]:
    """Return (word, stem with "*" or phrase with spaces; number of its class; strength) of each entry."""
    found: dict[tuple[str, int], float] = {}
    for name, levels in _ENTRIES.items():
        for strength, words in levels.items():
            for word in words.split():
                key = (word.replace("_", " "), CLASSES.index(name))
                found[key] = max(found.get(key, 0.0), strength)
    return [(word, number, strength) for (word, number), strength in found.items()]
